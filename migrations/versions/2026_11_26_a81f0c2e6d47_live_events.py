"""live events"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "a81f0c2e6d47"
down_revision = "36f2dc043505"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "event",
        sa.Column(
            "xid",
            sa.BigInteger(),
            server_default=sa.text("((pg_current_xact_id())::text)::bigint"),
            nullable=False,
        ),
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "date",
            sqlmodel.sql.sqltypes.UTCDateTime(),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "kind IN ('post', 'notification', 'edited', 'deleted')", name=op.f("ck_event_kind")
        ),
        sa.PrimaryKeyConstraint("xid", "id", name=op.f("pk_event")),
    )
    op.create_table(
        "ticket",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("sid", sa.BigInteger(), nullable=False),
        sa.Column("expires", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sid"], ["session.sid"], name=op.f("fk_ticket_sid"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_ticket")),
    )
    op.create_index("ix_ticket_session", "ticket", ["sid"])
    op.create_index("ix_ticket_expires", "ticket", ["expires"])


def downgrade() -> None:
    op.drop_table("ticket")
    op.drop_table("event")

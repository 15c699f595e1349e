"""Notifications"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "4f81bd6cae53"
down_revision = "3e70ac5b9d42"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbox",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("unread_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("read_id", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("unread_count >= 0", name=op.f("ck_inbox_counts")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_inbox_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_inbox")),
    )
    op.create_table(
        "notification",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("from_id", sa.BigInteger(), nullable=False),
        sa.Column("post_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "date",
            sqlmodel.sql.sqltypes.UTCDateTime(),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "kind IN ('follow', 'like', 'reply', 'mention', 'repost')",
            name=op.f("ck_notification_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["from_id"], ["user.id"], name=op.f("fk_notification_from_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["post_id"], ["post.id"], name=op.f("fk_notification_post_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["inbox.user_id"], name=op.f("fk_notification_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("pk_notification")),
    )
    op.create_index("ix_notification_date", "notification", ["date"], unique=False)
    op.create_index(
        "ix_notification_from", "notification", ["from_id", "user_id", "post_id"], unique=False
    )
    op.create_index("ix_notification_kind", "notification", ["user_id", "kind", "id"], unique=False)
    op.create_index("ix_notification_post", "notification", ["post_id"], unique=False)


def downgrade() -> None:
    op.drop_table("notification")
    op.drop_table("inbox")

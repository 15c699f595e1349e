"""Mail, and whether an e-mail address is verified."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "36f2dc043505"
down_revision = "7c1e4d92ab05"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mail",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=True),
        sa.Column("password_digest", sa.LargeBinary(), nullable=True),
        sa.Column("expires", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column(
            "date",
            sqlmodel.sql.sqltypes.UTCDateTime(),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "next_attempt",
            sqlmodel.sql.sqltypes.UTCDateTime(),
            server_default=sa.text("now()"),
            nullable=True,
        ),
        sa.CheckConstraint(
            "kind IN ('reset_password', 'verify_email', 'email_changed')", name=op.f("ck_mail_kind")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_mail_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail")),
    )
    op.create_index(
        "ix_mail_next_attempt",
        "mail",
        ["next_attempt"],
        unique=False,
        postgresql_where=sa.text("next_attempt IS NOT NULL"),
    )
    op.create_index("ix_mail_token_hash", "mail", ["token_hash"], unique=False)
    op.create_index("ix_mail_user", "mail", ["user_id"], unique=False)
    op.add_column(
        "user",
        sa.Column("email_verified", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("user", "email_verified")
    op.drop_index("ix_mail_user", table_name="mail")
    op.drop_index("ix_mail_token_hash", table_name="mail")
    op.drop_index(
        "ix_mail_next_attempt",
        table_name="mail",
        postgresql_where=sa.text("next_attempt IS NOT NULL"),
    )
    op.drop_table("mail")

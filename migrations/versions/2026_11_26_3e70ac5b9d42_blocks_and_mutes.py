"""Blocks and mutes"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "3e70ac5b9d42"
down_revision = "2d6f9b4a8c31"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "block",
        sa.Column("from_id", sa.BigInteger(), nullable=False),
        sa.Column("to_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "date",
            sqlmodel.sql.sqltypes.UTCDateTime(),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("from_id <> to_id", name=op.f("ck_block_not_self")),
        sa.ForeignKeyConstraint(
            ["from_id"], ["user.id"], name=op.f("fk_block_from_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["to_id"], ["user.id"], name=op.f("fk_block_to_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("from_id", "to_id", name=op.f("pk_block")),
    )
    op.create_index("ix_block_from", "block", ["from_id", "id"], unique=False)
    op.create_index("ix_block_to", "block", ["to_id", "from_id"], unique=False)
    op.create_table(
        "mute",
        sa.Column("from_id", sa.BigInteger(), nullable=False),
        sa.Column("to_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "date",
            sqlmodel.sql.sqltypes.UTCDateTime(),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("from_id <> to_id", name=op.f("ck_mute_not_self")),
        sa.ForeignKeyConstraint(
            ["from_id"], ["user.id"], name=op.f("fk_mute_from_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["to_id"], ["user.id"], name=op.f("fk_mute_to_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("from_id", "to_id", name=op.f("pk_mute")),
    )
    op.create_index("ix_mute_from", "mute", ["from_id", "id"], unique=False)
    op.create_index("ix_mute_to", "mute", ["to_id"], unique=False)


def downgrade() -> None:
    op.drop_table("mute")
    op.drop_table("block")

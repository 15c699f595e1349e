"""Blocks and mutes"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "3e70ac5b9d42"
down_revision = "2d6f9b4a8c31"
branch_labels = None
depends_on = None

# A statement that has waited for a lock still reads tables as they were before; a VOLATILE function
# reads them as they are now. REPLACE: `pamps reset-db` leaves functions.
FUNCTION = """
CREATE OR REPLACE FUNCTION {}(one bigint, other bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE
AS $$ BEGIN RETURN EXISTS (SELECT FROM {}); END $$
"""
FUNCTIONS = {
    "is_blocked": "block WHERE (from_id, to_id) IN ((one, other), (other, one))",
    "is_muted": "mute WHERE from_id = one AND to_id = other",
}


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
    op.create_index("ix_block_to", "block", ["to_id", "id"], unique=False)
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
    for name, rows in FUNCTIONS.items():
        op.execute(FUNCTION.format(name, rows))


def downgrade() -> None:
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
    op.drop_table("mute")
    op.drop_table("block")

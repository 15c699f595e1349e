"""write positions"""

import sqlalchemy as sa
from alembic import op

revision = "7c1e4d92ab05"
down_revision = "50a2ce7dbf64"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "primary_epoch",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "date", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_primary_epoch")),
    )
    op.create_table(
        "write_position",
        sa.Column("caller", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("caller", name=op.f("pk_write_position")),
        prefixes=["UNLOGGED"],
    )


def downgrade() -> None:
    op.drop_table("write_position")
    op.drop_table("primary_epoch")

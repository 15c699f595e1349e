"""What was answered to requests with an Idempotency-Key."""

import sqlalchemy as sa
from alembic import op

revision = "5e0c9a83d1f4"
down_revision = "b1d6f0a4c7e2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.BigInteger()),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column(
            "date", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_idempotency_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotency")),
    )
    op.create_index("ix_idempotency_date", "idempotency", ["date"])
    op.create_index("ix_idempotency_user", "idempotency", ["user_id"])


def downgrade() -> None:
    op.drop_table("idempotency")

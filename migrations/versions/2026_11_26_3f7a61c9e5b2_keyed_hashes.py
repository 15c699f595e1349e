"""Names, addresses and requests are stored as keyed hashes; what was stored without is deleted."""

from alembic import op

revision = "3f7a61c9e5b2"
down_revision = "d8f2b6a0e913"
branch_labels = None
depends_on = None


def _delete() -> None:
    op.execute("DELETE FROM idempotency")
    op.execute("DELETE FROM attempt")


def upgrade() -> None:
    _delete()
    op.create_index("ix_attempt_address", "attempt", ["address", "id"])


def downgrade() -> None:
    _delete()
    op.drop_index("ix_attempt_address", "attempt")

"""Names and e-mails, which are the same without regard to the case of ASCII letters alone."""

import sqlalchemy as sa
from alembic import op

revision = "9b3d5e7f1a20"
down_revision = "c4a9e1d7b3f6"
branch_labels = None
depends_on = None


def _unique(expression: str) -> None:
    for name in ("email", "username"):
        op.drop_index(f"uq_user_{name}", "user")
        columns, where = [sa.text(expression.format(name))], sa.text("NOT deleted")
        op.create_index(f"uq_user_{name}", "user", columns, unique=True, postgresql_where=where)


def upgrade() -> None:
    _unique('lower({} COLLATE "C")')


def downgrade() -> None:
    _unique("lower({})")

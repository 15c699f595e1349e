"""Accounts that are deleted, whose rows are still to go."""

import sqlalchemy as sa
from alembic import op

revision = "c4a9e1d7b3f6"
down_revision = "3f7a61c9e5b2"
branch_labels = None
depends_on = None

NAMES = ("email", "username")


def _unique(name: str, where: sa.TextClause | None) -> None:
    op.drop_index(f"uq_user_{name}", "user")
    columns = [sa.text(f"lower({name})")]
    op.create_index(f"uq_user_{name}", "user", columns, unique=True, postgresql_where=where)


def upgrade() -> None:
    flag = sa.Column("deleted", sa.Boolean(), server_default=sa.false(), nullable=False)
    op.add_column("user", flag)
    for name in NAMES:
        _unique(name, sa.text("NOT deleted"))
    op.create_index("ix_user_deleted", "user", ["id"], postgresql_where=sa.text("deleted"))
    # Else the planner would take half of the users for deleted ones until autovacuum comes by.
    op.execute('ANALYZE "user"')


def downgrade() -> None:
    # What is left of deleted accounts has no names that could be unique.
    op.execute('DELETE FROM "user" WHERE deleted')
    op.drop_index("ix_user_deleted", "user")
    for name in NAMES:
        _unique(name, None)
    op.drop_column("user", "deleted")

"""Sessions that tokens name by a random number, and that know their previous refresh token.

All sessions end, as the tokens of those that there are name them by an id which may be handed out
again.
"""

import sqlalchemy as sa
from alembic import op

revision = "d8f2b6a0e913"
down_revision = "5e0c9a83d1f4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM session")
    op.drop_constraint("pk_session", "session")
    op.add_column("session", sa.Column("sid", sa.BigInteger(), nullable=False))
    op.create_primary_key("pk_session", "session", ["sid"])
    op.add_column("session", sa.Column("previous_hash", sa.LargeBinary()))
    op.create_index("ix_session_expires", "session", ["expires"])


def downgrade() -> None:
    op.execute("DELETE FROM session")
    op.drop_index("ix_session_expires", "session")
    op.drop_column("session", "previous_hash")
    op.drop_column("session", "sid")
    op.create_primary_key("pk_session", "session", ["id"])

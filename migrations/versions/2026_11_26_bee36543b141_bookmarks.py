"""bookmarks"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "bee36543b141"
down_revision = "9b3d5e7f1a20"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bookmark",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("post_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "date",
            sqlmodel.sql.sqltypes.UTCDateTime(),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["post_id"], ["post.id"], name=op.f("fk_bookmark_post_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_bookmark_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "post_id", name=op.f("pk_bookmark")),
    )
    op.create_index("ix_bookmark_post", "bookmark", ["post_id"], unique=False)
    op.create_index("ix_bookmark_user", "bookmark", ["user_id", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_bookmark_user", table_name="bookmark")
    op.drop_index("ix_bookmark_post", table_name="bookmark")
    op.drop_table("bookmark")

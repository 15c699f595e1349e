"""Mentions and hashtags"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "2d6f9b4a8c31"
down_revision = "1c5e8a3f7b20"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tag",
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("post_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "date",
            sqlmodel.sql.sqltypes.UTCDateTime(),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["post_id"], ["post.id"], name=op.f("fk_tag_post_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tag", "post_id", name=op.f("pk_tag")),
    )
    op.create_index(
        "ix_tag_date", "tag", ["date"], unique=False, postgresql_include=["tag", "user_id"]
    )
    op.create_index("ix_tag_post", "tag", ["post_id"], unique=False)
    op.add_column("post", sa.Column("mention_ids", sa.ARRAY(sa.BigInteger()), nullable=True))
    op.add_column("post", sa.Column("tags", sa.ARRAY(sa.Text()), nullable=True))


def downgrade() -> None:
    op.drop_column("post", "tags")
    op.drop_column("post", "mention_ids")
    op.drop_table("tag")

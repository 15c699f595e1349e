"""Reposts"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "1c5e8a3f7b20"
down_revision = "bee36543b141"
branch_labels = None
depends_on = None


def check_counts(*columns: str) -> None:
    op.drop_constraint(op.f("ck_post_counts"), "post")
    op.create_check_constraint(op.f("ck_post_counts"), "post", f"least({', '.join(columns)}) >= 0")


def upgrade() -> None:
    op.create_table(
        "repost",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("post_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "id",
            sa.BigInteger(),
            server_default=sa.text("nextval(('post_id_seq'::text)::regclass)"),
            nullable=False,
        ),
        sa.Column(
            "date",
            sqlmodel.sql.sqltypes.UTCDateTime(),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["post_id"], ["post.id"], name=op.f("fk_repost_post_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_repost_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "post_id", name=op.f("pk_repost")),
    )
    op.create_index("ix_repost_post", "repost", ["post_id", "id"], unique=False)
    op.add_column(
        "post", sa.Column("repost_count", sa.Integer(), server_default="0", nullable=False)
    )
    check_counts("like_count", "reply_count", "repost_count")
    op.create_table(
        "entry",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("post_id", sa.BigInteger(), nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=False),
    )
    op.execute("INSERT INTO entry SELECT user_id, id, id, user_id FROM post ORDER BY id")
    key = "PRIMARY KEY (user_id, id) INCLUDE (post_id, author_id)"
    op.execute(f"ALTER TABLE entry ADD CONSTRAINT pk_entry {key}")
    op.create_index("ix_entry_post", "entry", ["post_id"], unique=False)
    for table in ("post", "user"):
        name = op.f(f"fk_entry_{table}_id")
        op.create_foreign_key(name, "entry", table, [f"{table}_id"], ["id"], ondelete="CASCADE")


def downgrade() -> None:
    check_counts("like_count", "reply_count")
    op.drop_column("post", "repost_count")
    op.drop_table("repost")
    op.drop_table("entry")

"""The four tables: user, post, social, like."""

import sqlalchemy as sa
from alembic import op

revision = "72c02c3b3d49"
down_revision = None
branch_labels = None
depends_on = None


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False)


def _counter(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), server_default="0", nullable=False)


def _date() -> sa.Column[object]:
    now = sa.text("now()")
    return sa.Column("date", sa.DateTime(timezone=True), server_default=now, nullable=False)


def upgrade() -> None:
    op.create_table(
        "user",
        _id(),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("avatar", sa.Text()),
        sa.Column("bio", sa.Text()),
        sa.Column("password", sa.Text(), nullable=False),
        _counter("post_count"),
        _counter("follower_count"),
        _counter("following_count"),
        sa.CheckConstraint("username ~ '^[A-Za-z0-9_]{1,30}$'", op.f("ck_user_username")),
        sa.CheckConstraint(r"password ~ '^\$(argon2|2[abxy]\$)'", op.f("ck_user_password")),
        sa.CheckConstraint(
            "least(post_count, follower_count, following_count) >= 0", op.f("ck_user_counts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
    )
    op.create_index("uq_user_email", "user", [sa.text("lower(email)")], unique=True)
    op.create_index("uq_user_username", "user", [sa.text("lower(username)")], unique=True)

    op.create_table(
        "post",
        _id(),
        sa.Column("text", sa.Text(), nullable=False),
        _date(),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", sa.BigInteger()),
        sa.Column("edited_at", sa.DateTime(timezone=True)),
        _counter("like_count"),
        _counter("reply_count"),
        sa.CheckConstraint("text <> ''", op.f("ck_post_text")),
        sa.CheckConstraint("least(like_count, reply_count) >= 0", op.f("ck_post_counts")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_post_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_post")),
    )
    no_reply, reply = sa.text("parent_id IS NULL"), sa.text("parent_id IS NOT NULL")
    op.create_index("ix_post_home", "post", ["id"], postgresql_where=no_reply)
    op.create_index("ix_post_user", "post", ["user_id", "id"])
    op.create_index("ix_post_user_home", "post", ["user_id", "id"], postgresql_where=no_reply)
    op.create_index("ix_post_replies", "post", ["parent_id", "id"], postgresql_where=reply)

    op.create_table(
        "social",
        sa.Column("from_id", sa.BigInteger(), nullable=False),
        sa.Column("to_id", sa.BigInteger(), nullable=False),
        _id(),
        _date(),
        sa.CheckConstraint("from_id <> to_id", op.f("ck_social_not_self")),
        sa.ForeignKeyConstraint(
            ["from_id"], ["user.id"], name=op.f("fk_social_from_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["to_id"], ["user.id"], name=op.f("fk_social_to_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("from_id", "to_id", name=op.f("pk_social")),
    )
    op.create_index("ix_social_followers", "social", ["to_id", "id"])
    op.create_index("ix_social_following", "social", ["from_id", "id"])

    op.create_table(
        "like",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("post_id", sa.BigInteger(), nullable=False),
        _id(),
        _date(),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_like_user_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["post_id"], ["post.id"], name=op.f("fk_like_post_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "post_id", name=op.f("pk_like")),
    )
    op.create_index("ix_like_user", "like", ["user_id", "id"])
    op.create_index("ix_like_post", "like", ["post_id", "id"])


def downgrade() -> None:
    for table in ("like", "social", "post", "user"):
        op.drop_table(table)

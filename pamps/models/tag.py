"""Hashtags: table, queries, response."""

from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel
from sqlmodel import Field, SQLModel, col

from pamps.models.columns import AnySelect, created_at, foreign_key
from pamps.models.post import Post, posts
from pamps.models.user import user_not_deleted


class Tag(SQLModel, table=True):
    """The post `post_id` of `user_id` has the hashtag `tag`, in the form of `fold_tag`."""

    __table_args__ = (
        sa.Index("ix_tag_post", "post_id"),
        sa.Index("ix_tag_date", "date", postgresql_include=["tag", "user_id"]),
    )

    tag: str = Field(sa_type=sa.Text, primary_key=True)
    post_id: int = foreign_key("post.id", primary_key=True)
    # The author of the post: no foreign key, as the row goes together with the post.
    user_id: int = Field(sa_type=sa.BigInteger)
    date: datetime = created_at()


# A result of `fold_tag`.
TAG = sa.bindparam("tag", type_=sa.Text)


def tagged_posts() -> AnySelect:
    """Select the posts that have the hashtag `tag`."""
    # A sum, because PostgreSQL would merge the two in the order of the ids, and read all posts that
    # are newer than the last one with the hashtag.
    post_id = col(Tag.post_id) + sa.literal_column("0")
    return posts().join(Tag, post_id == Post.id).where(col(Tag.tag) == TAG)


def popular_tags(limit: int) -> AnySelect:
    """Select so many of the hashtags that most different people have used in the last 7 days.

    It reads all uses of these days, from an index.
    """
    recent = col(Tag.date) > sa.func.now() - sa.literal_column("interval '7 days'")
    count = sa.func.count()
    uses = sa.select(col(Tag.tag), count.label("uses")).where(recent, user_not_deleted(Tag.user_id))
    by_user = uses.group_by(col(Tag.tag), col(Tag.user_id)).subquery("by_user")
    post_count = sa.cast(sa.func.sum(by_user.c.uses), sa.BigInteger).label("post_count")
    tags = sa.select(by_user.c.tag, post_count, count.label("user_count")).group_by(by_user.c.tag)
    most = tags.order_by(count.desc(), post_count.desc(), sa.collate(by_user.c.tag, "C"))
    return most.limit(sa.literal_column(str(limit)))


class PopularTag(BaseModel):
    """A hashtag, how many posts of the last 7 days have it, and how many people wrote them."""

    tag: str
    post_count: int
    user_count: int

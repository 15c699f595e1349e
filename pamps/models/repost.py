"""Reposts: table, queries, response."""

from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel
from sqlmodel import Field, SQLModel, col

from pamps.models.columns import VIEWER_ID, AnySelect, Column, created_at, foreign_key
from pamps.models.notification import notify_author, unnotify_author
from pamps.models.post import Post, existing_post, insert_for_post
from pamps.models.user import User, users

# The cast of text keeps Alembic from taking the sequence for one of this table.
NEXT_POST_ID = sa.text("nextval(('post_id_seq'::text)::regclass)")


class Repost(SQLModel, table=True):
    """`user_id` has reposted `post_id`.

    The ids come from the sequence of the posts' ids, so that posts and reposts have one order.
    """

    __table_args__ = (
        sa.Index("ix_repost_user", "user_id", "id"),
        sa.Index("ix_repost_post", "post_id", "id"),
    )

    user_id: int = foreign_key("user.id", caller=True, primary_key=True)
    post_id: int = foreign_key("post.id", primary_key=True)
    id: int = Field(None, sa_type=sa.BigInteger, sa_column_kwargs={"server_default": NEXT_POST_ID})
    date: datetime = created_at()


def reposters(post_id: Column) -> AnySelect:
    """Select the users who have reposted a post."""
    reposted = users().join(Repost, col(Repost.user_id) == User.id)
    return reposted.where(col(Repost.post_id) == post_id)


def repost() -> AnySelect:
    """Repost `post_id` for `viewer_id`; return the repost, and whether it is new as `created`."""
    added = insert_for_post(Repost)
    counted = sa.update(Post).where(col(Post.id) == added.c.post_id, added.c.created)
    counted = counted.values(repost_count=Post.repost_count + 1)
    post = counted.returning(col(Post.user_id), col(Post.id)).cte("counted")
    return sa.select(*added.c).add_cte(*notify_author("repost", post))


def undo_repost() -> AnySelect:
    """Delete the repost of `post_id` by `viewer_id`, if there is one; return the id of the post.

    Nothing is returned if the post does not exist.
    """
    # First the post, then its repost: see docs/decisions/0006-counters.md.
    post = existing_post().with_for_update(key_share=True).cte("locked")
    repost = sa.delete(Repost).where(col(Repost.post_id) == post.c.id)
    deleted = repost.where(col(Repost.user_id) == VIEWER_ID).returning(col(Repost.post_id))
    gone = deleted.cte("deleted")
    counted = sa.update(Post).where(col(Post.id) == gone.c.post_id)
    counted = counted.values(repost_count=sa.func.greatest(Post.repost_count - 1, 0))
    changed = counted.returning(col(Post.user_id), col(Post.id)).cte("counted")
    return sa.select(post.c.id).add_cte(*unnotify_author("repost", changed))


class RepostResponse(BaseModel):
    """`user_id` has reposted `post_id` at `date`."""

    user_id: int
    post_id: int
    date: datetime

"""Likes: table, queries, response."""

from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel
from sqlmodel import SQLModel, col

from pamps.models.columns import (
    VIEWER_ID,
    AnySelect,
    Column,
    created_at,
    foreign_key,
    identity,
)
from pamps.models.notification import notify_author, unnotify_author
from pamps.models.post import Post, existing_post, insert_for_post, posts
from pamps.models.user import User, users


class Like(SQLModel, table=True):
    """`user_id` likes `post_id`. The ids are in the order in which the likes were stored."""

    __table_args__ = (
        sa.Index("ix_like_user", "user_id", "id"),
        sa.Index("ix_like_post", "post_id", "id"),
    )

    user_id: int = foreign_key("user.id", caller=True, primary_key=True)
    post_id: int = foreign_key("post.id", primary_key=True)
    id: int = identity()
    date: datetime = created_at()


def liked_posts(user_id: Column) -> AnySelect:
    """Select the posts that a user likes."""
    liked = posts(include_muted=True).join(Like, col(Like.post_id) == Post.id)
    return liked.where(col(Like.user_id) == user_id)


def likers(post_id: Column) -> AnySelect:
    """Select the users who like a post."""
    return users().join(Like, col(Like.user_id) == User.id).where(col(Like.post_id) == post_id)


def like() -> AnySelect:
    """Make `viewer_id` like `post_id`; return the like, and whether it is new as `created`."""
    added = insert_for_post(Like)
    counted = sa.update(Post).where(col(Post.id) == added.c.post_id, added.c.created)
    counted = counted.values(like_count=Post.like_count + 1)
    post = counted.returning(col(Post.user_id), col(Post.id)).cte("counted")
    return sa.select(*added.c).add_cte(*notify_author("like", post))


def unlike() -> AnySelect:
    """Delete the like of `viewer_id` for `post_id`, if there is one; return the id of the post.

    Nothing is returned if the post does not exist.
    """
    # First the post, then its like: see docs/decisions/0006-counters.md.
    post = existing_post().with_for_update(key_share=True).cte("locked")
    like = sa.delete(Like).where(col(Like.post_id) == post.c.id, col(Like.user_id) == VIEWER_ID)
    deleted = like.returning(col(Like.post_id)).cte("deleted")
    counted = sa.update(Post).where(col(Post.id) == deleted.c.post_id)
    counted = counted.values(like_count=sa.func.greatest(Post.like_count - 1, 0))
    changed = counted.returning(col(Post.user_id), col(Post.id)).cte("counted")
    return sa.select(post.c.id).add_cte(*unnotify_author("like", changed))


class LikeResponse(BaseModel):
    """`user_id` likes `post_id` since `date`."""

    user_id: int
    post_id: int
    date: datetime

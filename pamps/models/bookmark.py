"""Bookmarks: table, queries, response."""

from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel
from sqlmodel import SQLModel, col

from pamps.models.columns import (
    VIEWER_ID,
    AnySelect,
    created_at,
    foreign_key,
    identity,
)
from pamps.models.post import Post, existing_post, insert_for_post, posts


class Bookmark(SQLModel, table=True):
    """`user_id` has bookmarked `post_id`. The ids are in the order of the bookmarks."""

    __table_args__ = (
        sa.Index("ix_bookmark_user", "user_id", "id"),
        sa.Index("ix_bookmark_post", "post_id"),
    )

    user_id: int = foreign_key("user.id", caller=True, primary_key=True)
    post_id: int = foreign_key("post.id", primary_key=True)
    id: int = identity()
    date: datetime = created_at()


def bookmarked_posts() -> AnySelect:
    """Select the posts that `viewer_id` has bookmarked."""
    bookmarked = posts(include_muted=True).join(Bookmark, col(Bookmark.post_id) == Post.id)
    return bookmarked.where(col(Bookmark.user_id) == VIEWER_ID)


def bookmark() -> AnySelect:
    """Bookmark `post_id` for `viewer_id`; return the bookmark, and if it is new (`created`)."""
    return sa.select(*insert_for_post(Bookmark, ignore_blocks=True).c)


def unbookmark() -> AnySelect:
    """Delete the bookmark of `viewer_id` for `post_id`, if there is one; return the id of the post.

    Nothing is returned if the post does not exist.
    """
    post = existing_post().cte("post")
    bookmark = sa.delete(Bookmark).where(col(Bookmark.post_id) == post.c.id)
    deleted = bookmark.where(col(Bookmark.user_id) == VIEWER_ID).cte("deleted")
    return sa.select(post.c.id).add_cte(deleted)


class BookmarkResponse(BaseModel):
    """`user_id` has bookmarked `post_id` since `date`."""

    user_id: int
    post_id: int
    date: datetime

"""Interactions, which are a user's rows for posts: what likes, reposts and bookmarks share."""

from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import Mapped
from sqlmodel import col

from pamps.models.columns import VIEWER_ID, AnySelect, Column, Interaction, insert_or_get
from pamps.models.notification import Notification, delete_notifications, notify, recipients
from pamps.models.post import POST_ID, Post, existing_post, posts
from pamps.models.user import IS_VIEWER, User, users
from pamps.models.visibility import is_blocked


def posts_with(table: type[Interaction], user_id: Column) -> AnySelect:
    """Select the posts for which a user has a row."""
    found = posts(include_muted=True).join(table, col(table.post_id) == Post.id)
    return found.where(col(table.user_id) == user_id)


def users_with(table: type[Interaction], post_id: Column) -> AnySelect:
    """Select the users who have a row for a post."""
    found = users().join(table, col(table.user_id) == User.id)
    return found.where(col(table.post_id) == post_id)


def insert_interaction(table: type[Interaction], *, ignore_blocks: bool = False) -> sa.CTE:
    """Insert the row of `viewer_id` for `post_id`; see `insert_or_get`.

    Nothing is inserted or returned if that user or that post does not exist, or if there is a block
    between the user and the author.
    """
    # The user is locked first: see docs/decisions/0006-counters.md.
    user = sa.select(col(User.id)).where(IS_VIEWER)
    locked = user.with_for_update(read=True, key_share=True).cte("locked")
    post = existing_post()
    if not ignore_blocks:
        post = post.where(~is_blocked(locked.c.id, col(Post.user_id)))
    allowed = sa.select(locked.c.id).where(post.exists())
    return insert_or_get(table, (VIEWER_ID, POST_ID), allowed)


def delete_interaction(table: type[Interaction], post: sa.CTE) -> sa.CTE:
    """Delete the row of `viewer_id` for a post, if there is one."""
    row = sa.delete(table).where(col(table.post_id) == post.c.id, col(table.user_id) == VIEWER_ID)
    return row.returning(col(table.post_id)).cte("deleted")


def insert_counted(table: type[Interaction], counter: Mapped[int], kind: str) -> AnySelect:
    """Insert the row of `viewer_id` for `post_id`, count it, and notify the post's author.

    Returns the row, and whether it is new as `created`: see `insert_interaction`.
    """
    added = insert_interaction(table)
    counted = sa.update(Post).where(col(Post.id) == added.c.post_id, added.c.created)
    counted = counted.values({counter: counter + 1})
    post = counted.returning(col(Post.user_id), col(Post.id)).cte("counted")
    return sa.select(*added.c).add_cte(notify(recipients(kind, post.c.user_id, post.c.id)))


def delete_counted(table: type[Interaction], counter: Mapped[int], kind: str) -> AnySelect:
    """Undo `insert_counted`, if there is such a row; return the id of the post, if it exists."""
    # First the post, then its row: see docs/decisions/0006-counters.md.
    post = existing_post().with_for_update(key_share=True).cte("locked")
    deleted = delete_interaction(table, post)
    counted = sa.update(Post).where(col(Post.id) == deleted.c.post_id)
    counted = counted.values({counter: sa.func.greatest(counter - 1, 0)})
    changed = counted.returning(col(Post.user_id), col(Post.id)).cte("counted")
    is_act = (col(Notification.from_id) == VIEWER_ID) & (col(Notification.kind) == kind)
    about = (
        col(Notification.user_id) == changed.c.user_id,
        col(Notification.post_id) == changed.c.id,
    )
    return sa.select(post.c.id).add_cte(*delete_notifications(is_act, *about))


class InteractionResponse(BaseModel):
    """The row of `user_id` for `post_id`, such as a like, which is there since `date`."""

    user_id: int
    post_id: int
    date: datetime

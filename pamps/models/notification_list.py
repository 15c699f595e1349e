"""Notifications as their recipient sees them: queries, request, response."""

from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel
from sqlmodel import col

from pamps.models.columns import VIEWER_ID, AnySelect, Column, id_parameter
from pamps.models.notification import Inbox, Kind, Notification
from pamps.models.post import AUTHOR_COLUMNS, Post, PostAuthor, PostResponse, posts
from pamps.models.types import JsonId, examples
from pamps.models.user import NOT_DELETED, User
from pamps.models.visibility import visible_to_viewer

# Up to which notification a user has read them.
UP_TO = id_parameter("up_to")
IDS = sa.bindparam("ids", type_=sa.ARRAY(sa.BigInteger))
USER_IDS = sa.bindparam("user_ids", type_=sa.ARRAY(sa.BigInteger))
OWN = col(Notification.user_id) == VIEWER_ID
OWN_INBOX = col(Inbox.user_id) == VIEWER_ID


def notifications(*, of_kind: bool, unread: bool) -> AnySelect:
    """Select the notifications of `viewer_id`: those of a `kind`, and those that are not read."""
    query = _as_seen_by(VIEWER_ID).where(OWN)
    if of_kind:
        query = query.where(col(Notification.kind) == sa.bindparam("kind", type_=sa.Text))
    return query.where(col(Notification.id) > _read_id(VIEWER_ID)) if unread else query


def notifications_of_users() -> AnySelect:
    """Select the notifications `ids` of `user_ids`, as each of these users sees their own."""
    keys = sa.func.unnest(USER_IDS, IDS).table_valued("user_id", "id", name="wanted")
    wanted = keys.render_derived()
    user_id = sa.inspect(Notification).columns.user_id
    is_wanted = (user_id == wanted.c.user_id) & (col(Notification.id) == wanted.c.id)
    return _as_seen_by(user_id).join(wanted, is_wanted)


def _read_id(user_id: Column) -> sa.ScalarSelect[int]:
    """Select up to which notification a user has read them."""
    return sa.select(col(Inbox.read_id)).where(col(Inbox.user_id) == user_id).scalar_subquery()


def _as_seen_by(user_id: Column) -> AnySelect:
    """Select notifications as a user sees them, who is their recipient."""
    post = posts(include_muted=True, viewer_id=user_id).where(col(Post.id) == Notification.post_id)
    shown = post.correlate(Notification).lateral("post")
    columns = [
        *(col(Notification.id), col(Notification.kind), col(Notification.date)),
        (col(Notification.id) <= _read_id(user_id)).label("read"),
        *AUTHOR_COLUMNS,
        *[column.label(f"post.{column.name}") for column in shown.c],
    ]
    query = sa.select(*columns).select_from(Notification)
    query = query.join(User, col(User.id) == Notification.from_id).outerjoin(shown, sa.true())
    query = query.where(
        NOT_DELETED, visible_to_viewer(col(Notification.from_id), viewer_id=user_id)
    )
    # The post of a notification may be deleted in batches.
    return query.where(col(Notification.post_id).is_(None) | shown.c.id.is_not(None))


def lock_inbox() -> AnySelect:
    """Lock the inbox of `viewer_id`, so that the next statement sees all its notifications."""
    return sa.select(col(Inbox.user_id)).where(OWN_INBOX).with_for_update(key_share=True)


def read_notifications() -> sa.Update:
    """Mark the notifications of `viewer_id` as read, from the oldest to the one with id `up_to`."""
    # Not beyond the newest, so that none of the future is read.
    newest = sa.select(sa.func.coalesce(sa.func.max(Notification.id), 0)).where(OWN)
    read_id = sa.func.greatest(Inbox.read_id, sa.func.least(UP_TO, newest.scalar_subquery()))
    unread = sa.select(sa.func.count()).select_from(Notification)
    unread = unread.where(OWN, col(Notification.id) > read_id).correlate(Inbox)
    values = {"read_id": read_id, "unread_count": unread.scalar_subquery()}
    return sa.update(Inbox).where(OWN_INBOX).values(values)


class ReadRequest(BaseModel):
    """The newest notification that the user has read, by its id."""

    model_config = examples(up_to=1)

    up_to: JsonId


class NotificationResponse(BaseModel):
    """What `user` has done: followed the recipient, or something with the post `post`."""

    id: int
    kind: Kind
    date: datetime
    read: bool
    user: PostAuthor
    post: PostResponse | None

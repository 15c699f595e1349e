"""Notifications: tables, and how they are stored and deleted together with the inboxes."""

from datetime import datetime, timedelta
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel, col

from pamps.config import settings
from pamps.models.columns import (
    VIEWER_ID,
    AnySelect,
    Column,
    Condition,
    counter,
    created_at,
    foreign_key,
    identity,
    text_column,
)
from pamps.models.event import record_events
from pamps.models.visibility import is_blocked, is_muted

Union = sa.CompoundSelect[*tuple[Any, ...]]

NO_POST: Column = sa.literal_column("NULL::bigint")
Kind = Literal["follow", "like", "reply", "mention", "repost"]


class Inbox(SQLModel, table=True):
    """How many notifications a user has not read: those with an id above `read_id`."""

    __table_args__ = (sa.CheckConstraint("unread_count >= 0", name="counts"),)

    user_id: int = foreign_key("user.id", primary_key=True)
    unread_count: int = counter()
    read_id: int = Field(0, sa_type=sa.BigInteger, sa_column_kwargs={"server_default": "0"})


class Notification(SQLModel, table=True):
    """`user_id` is told that `from_id` did something, most often with the post `post_id`.

    The ids of a user's notifications are in the order in which they were committed.
    """

    __table_args__ = (
        sa.Index("ix_notification_kind", "user_id", "kind", "id"),
        sa.Index("ix_notification_from", "from_id", "user_id", "post_id"),
        sa.Index("ix_notification_post", "post_id"),
        sa.Index("ix_notification_date", "date"),
        sa.CheckConstraint(f"kind IN {get_args(Kind)}", name="kind"),
    )

    # Not the user's row, which would be locked after that of the inbox.
    user_id: int = foreign_key("inbox.user_id", primary_key=True)
    id: int = identity(primary_key=True)
    kind: str = text_column()
    from_id: int = foreign_key("user.id", caller=True)
    post_id: int | None = foreign_key("post.id", default=None)
    date: datetime = created_at()


KEY = col(Notification.user_id), col(Notification.id)


def recipients(kind: str, user_id: Column, post_id: Column = NO_POST) -> AnySelect:
    """Select who is told of an act, by a notification of what kind, and about which post."""
    kinds: Column = sa.literal_column(f"'{kind}'")
    return sa.select(user_id.label("user_id"), kinds.label("kind"), post_id.label("post_id"))


def notify(recipients: AnySelect | Union) -> sa.CTE:
    """Tell users of an act of the viewer, who is locked already.

    Nobody is told of their own acts, or of those of somebody whom they mute, or with a block.
    `recipients` has each user once, and comes from what is locked before the inboxes: see
    docs/decisions/0006-counters.md.
    """
    told = recipients.cte("recipients")
    user_id = told.c.user_id
    is_unwanted = is_muted(user_id, VIEWER_ID) | is_blocked(user_id, VIEWER_ID)
    others = sa.select(user_id, sa.literal_column("1")).where(user_id != VIEWER_ID, ~is_unwanted)
    added = insert(Inbox).from_select(
        ["user_id", "unread_count"], others.order_by(user_id), include_defaults=False
    )
    added = added.on_conflict_do_update(
        index_elements=["user_id"], set_={"unread_count": Inbox.unread_count + 1}
    )
    # The id of a notification is assigned while the inbox is locked.
    inbox = added.returning(col(Inbox.user_id)).cte("inboxes")
    rows = sa.select(inbox.c.user_id, told.c.kind, VIEWER_ID, told.c.post_id)
    rows = rows.join(told, told.c.user_id == inbox.c.user_id)
    names = ["user_id", "kind", "from_id", "post_id"]
    inserted = sa.insert(Notification).from_select(names, rows, include_defaults=False)
    new = inserted.returning(*KEY).cte("notified")
    return record_events("notification", new, new.c.user_id, new.c.id)


def inboxes_locked_first(rows: sa.CTE, user_ids: Column) -> Condition:
    """Return a condition that is always true, but makes PostgreSQL lock inboxes first, in order.

    For a statement with `notify` and `delete_notifications`. `user_ids` are those of one of the
    `rows`.
    """
    inboxes = sa.select(col(Inbox.user_id)).join(rows, col(Inbox.user_id) == sa.any_(user_ids))
    inboxes = inboxes.order_by(col(Inbox.user_id)).with_for_update(of=Inbox, key_share=True)
    locked = inboxes.cte("inboxes_first")
    return sa.select(sa.func.count()).select_from(locked).scalar_subquery() >= 0


def expired_notifications(limit: int) -> AnySelect:
    """Delete up to `limit` notifications that are no longer kept, the oldest first."""
    kept = timedelta(days=settings.social.notifications_days)
    oldest = sa.select(*KEY).where(col(Notification.date) < sa.func.now() - kept)
    oldest = oldest.order_by(col(Notification.date)).limit(limit)
    deleted, counted = _delete(oldest, skip_locked=True)
    return sa.select(deleted.c.id).add_cte(counted)


def delete_notifications(
    *conditions: Condition, skip_locked: bool = False
) -> tuple[sa.CTE, sa.CTE]:
    """Delete the notifications that fulfil conditions, and correct the inboxes: see `_delete`."""
    return _delete(sa.select(*KEY).where(*conditions).order_by(*KEY), skip_locked)


def _delete(keys: AnySelect, skip_locked: bool) -> tuple[sa.CTE, sa.CTE]:
    """Delete notifications, and subtract from the inboxes those that were not read.

    The first of the two tables has the `user_id` and the `id` of each.
    """
    rows = keys.with_for_update(of=Notification, skip_locked=skip_locked).cte("unwanted")
    is_row = sa.tuple_(*KEY) == sa.tuple_(*rows.c)
    gone = sa.delete(Notification).where(is_row).returning(*KEY).cte("unnotified")
    ids = sa.func.array_agg(gone.c.id).label("ids")
    of_user = sa.select(gone.c.user_id, ids).group_by(gone.c.user_id).subquery("of_user")
    # Computed again by PostgreSQL for an inbox that changed while this statement waited for it.
    gone_id = sa.func.unnest(of_user.c.ids).column_valued("gone_id")
    unread = sa.select(sa.func.count()).where(gone_id > Inbox.read_id).scalar_subquery()
    inboxes = sa.select(col(Inbox.user_id), unread.label("unread")).join(
        of_user, of_user.c.user_id == Inbox.user_id
    )
    inboxes = inboxes.order_by(col(Inbox.user_id)).with_for_update(of=Inbox, key_share=True)
    inbox = inboxes.cte("inboxes_before")
    fewer = sa.func.greatest(Inbox.unread_count - inbox.c.unread, 0)
    counted = sa.update(Inbox).where(col(Inbox.user_id) == inbox.c.user_id)
    return gone, counted.values(unread_count=fewer).cte("inboxes_after")

"""Events, which tell streams of what was stored: table, statements.

See docs/decisions/0028-live-events.md.
"""

from datetime import datetime, timedelta
from typing import Literal, NamedTuple, get_args

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, col

from pamps.models.columns import (
    AnySelect,
    Column,
    Condition,
    created_at,
    id_parameter,
    identity,
    text_column,
)

EventKind = Literal["post", "notification", "edited", "deleted"]

# For so long after an event a client can go on behind it.
KEPT_FOR = timedelta(hours=24)
# Rows are kept longer, so that none behind an event that is still known has been deleted.
STORED_FOR = KEPT_FOR + timedelta(hours=1)
# Longer than any transaction of the API may take.
OVERDUE_AFTER = timedelta(seconds=30)
TRANSACTION_ID = sa.text("((pg_current_xact_id())::text)::bigint")
# The oldest transaction that is in progress, in any database of the server: all before it are over.
OLDEST_IN_PROGRESS = sa.literal_column(
    "pg_snapshot_xmin(pg_current_snapshot())::text::bigint", sa.BigInteger
)


class Position(NamedTuple):
    """A place in the order of all events: that of the event with this transaction and id."""

    xid: int
    id: int


BEGIN = Position(0, 0)


class Event(SQLModel, table=True):
    """Something was stored that streams tell of, by the transaction `xid`.

    `user_id` has posted, reposted, edited or deleted, or is told by a notification. `subject_id` is
    the id of the entry of timelines, of the post or of the notification. Rows have no text, so that
    nothing remains in them of what is deleted.
    """

    __table_args__ = (
        sa.PrimaryKeyConstraint("xid", "id"),
        sa.CheckConstraint(f"kind IN {get_args(EventKind)}", name="kind"),
    )

    xid: int = Field(
        None, sa_type=sa.BigInteger, sa_column_kwargs={"server_default": TRANSACTION_ID}
    )
    id: int = identity()
    kind: str = text_column()
    # No foreign keys, which would cost each post two locks.
    user_id: int = Field(sa_type=sa.BigInteger)
    subject_id: int = Field(sa_type=sa.BigInteger)
    date: datetime = created_at()


KEY = sa.tuple_(col(Event.xid), col(Event.id))
AFTER = sa.tuple_(id_parameter("after_xid"), id_parameter("after_id"))
# Nothing can be stored any more before or among these events.
IS_SETTLED = col(Event.xid) < OLDEST_IN_PROGRESS


def record_events(kind: EventKind, rows: sa.FromClause, user_id: Column, id_: Column) -> sa.CTE:
    """Insert an event for each of some rows, in the transaction that stores them."""
    values: AnySelect = sa.select(sa.literal_column(f"'{kind}'"), user_id, id_).select_from(rows)
    names = ["kind", "user_id", "subject_id"]
    new = sa.insert(Event).from_select(names, values, include_defaults=False)
    return new.cte(f"{kind}_events")


def newest_position() -> AnySelect:
    """Select the position of the newest event that no other can come before any more."""
    newest = sa.select(col(Event.xid), col(Event.id)).where(IS_SETTLED)
    return newest.order_by(col(Event.xid).desc(), col(Event.id).desc()).limit(
        sa.literal_column("1", sa.Integer)
    )


def overdue_event() -> AnySelect:
    """Select an event after a position that was stored a while ago, and should have been read."""
    is_old = col(Event.date) < sa.func.now() - OVERDUE_AFTER
    event = sa.select(col(Event.id)).where(KEY > AFTER, is_old)
    return event.limit(sa.literal_column("1", sa.Integer))


def known_position() -> AnySelect:
    """Select the event at a position, if nothing behind it has been deleted.

    There is none if it is too old, or comes from another database: one that was replaced by a
    backup, or a primary whose latest transactions were lost.
    """
    later = sa.select(sa.true()).where(KEY > AFTER).exists()
    is_kept: Condition = col(Event.date) > sa.func.now() - KEPT_FOR
    return sa.select(col(Event.id)).where(KEY == AFTER, is_kept | ~later)


def expired_events(limit: int) -> sa.Delete:
    """Delete up to `limit` events that are no longer kept, the oldest first.

    The newest stays, as those who have read all events are there.
    """
    first = sa.select(col(Event.xid), col(Event.id)).order_by(col(Event.xid), col(Event.id))
    newest = sa.select(sa.func.max(Event.xid)).scalar_subquery()
    batch = first.limit(limit).with_for_update(skip_locked=True).cte("batch")
    expired = col(Event.date) < sa.func.now() - STORED_FOR
    return sa.delete(Event).where(sa.tuple_(*batch.c) == KEY, expired, col(Event.xid) != newest)

"""Mutes: table, queries, response."""

from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel
from sqlmodel import SQLModel, col

from pamps.models.columns import VIEWER_ID, AnySelect, created_at, foreign_key, identity
from pamps.models.notification import Notification, notifications_where, unnotify
from pamps.models.pair import insert_pair
from pamps.models.user import USER_ID


class Mute(SQLModel, table=True):
    """`from_id` mutes `to_id`, who never learns of it. Later mutes have larger ids."""

    __table_args__ = (
        sa.Index("ix_mute_from", "from_id", "id"),
        sa.Index("ix_mute_to", "to_id"),
        sa.CheckConstraint("from_id <> to_id", name="not_self"),
    )

    from_id: int = foreign_key("user.id", caller=True, primary_key=True)
    to_id: int = foreign_key("user.id", primary_key=True)
    id: int = identity()
    date: datetime = created_at()


def mute() -> AnySelect:
    """Make `viewer_id` mute `user_id`; return the mute, and whether it is new as `created`.

    Deletes what `viewer_id` was told of `user_id`. `lock_pair` comes first, in the same
    transaction.
    """
    added = insert_pair(Mute)
    is_told = col(Notification.user_id) == VIEWER_ID, col(Notification.from_id) == USER_ID
    untold = unnotify(notifications_where(*is_told, sa.exists().select_from(added)))
    return sa.select(*added.c).add_cte(*untold)


class MuteResponse(BaseModel):
    """`from_id` mutes `to_id` since `date`."""

    from_id: int
    to_id: int
    date: datetime

"""Mutes: table, query."""

import sqlalchemy as sa
from sqlmodel import col

from pamps.models.columns import VIEWER_ID, AnySelect, Pair
from pamps.models.notification import Notification, delete_notifications
from pamps.models.pair import insert_pair
from pamps.models.user import USER_ID


class Mute(Pair, table=True):
    """`from_id` mutes `to_id`, who never learns of it."""

    __table_args__ = (
        sa.Index("ix_mute_from", "from_id", "id"),
        sa.Index("ix_mute_to", "to_id"),
        sa.CheckConstraint("from_id <> to_id", name="not_self"),
    )


def mute() -> AnySelect:
    """Make `viewer_id` mute `user_id`; return the mute, and whether it is new as `created`.

    Deletes what `viewer_id` was told of `user_id`. `lock_pair` comes first, in the same
    transaction.
    """
    added = insert_pair(Mute)
    is_told = col(Notification.user_id) == VIEWER_ID, col(Notification.from_id) == USER_ID
    untold = delete_notifications(*is_told, sa.exists().select_from(added))
    return sa.select(*added.c).add_cte(*untold)

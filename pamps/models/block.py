"""Blocks: table, query."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped
from sqlmodel import col

from pamps.models.columns import VIEWER_ID, AnySelect, Condition, Pair
from pamps.models.follow import Social, change_counters
from pamps.models.notification import Notification, delete_notifications
from pamps.models.pair import insert_pair
from pamps.models.user import USER_ID


class Block(Pair, table=True):
    """`from_id` blocks `to_id`."""

    __table_args__ = (
        sa.Index("ix_block_from", "from_id", "id"),
        sa.Index("ix_block_to", "to_id", "id"),
        sa.CheckConstraint("from_id <> to_id", name="not_self"),
    )


def block() -> AnySelect:
    """Make `viewer_id` block `user_id`; return the block, and whether it is new as `created`.

    Ends the follows between them and deletes what they were told of each other. `lock_pair` comes
    first, in the same transaction.
    """
    added = insert_pair(Block)
    is_stored = sa.exists().select_from(added)
    follows = sa.delete(Social).where(_are_both(col(Social.from_id), col(Social.to_id)), is_stored)
    ended = follows.returning(col(Social.from_id), col(Social.to_id)).cte("ended")
    told = _are_both(col(Notification.from_id), col(Notification.user_id))
    untold = delete_notifications(told, is_stored)
    return sa.select(*added.c).add_cte(change_counters(ended, -1), *untold)


def _are_both(one: Mapped[int], other: Mapped[int]) -> Condition:
    """Return the condition that two columns have the two users, in either order."""
    return sa.tuple_(one, other).in_([sa.tuple_(VIEWER_ID, USER_ID), sa.tuple_(USER_ID, VIEWER_ID)])

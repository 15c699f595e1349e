"""Pairs of users: what follows, blocks and mutes share, which are a user's rows for other users."""

from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel
from sqlmodel import col

from pamps.models.columns import VIEWER_ID, AnySelect, Column, Pair, insert_or_get
from pamps.models.user import NOT_DELETED, USER_ID, User, users

BOTH_USERS = col(User.id).in_((VIEWER_ID, USER_ID)) & NOT_DELETED


def lock_pair() -> AnySelect:
    """Lock both users, so that neither can do anything to the other at the same time.

    It is a statement of its own, because a statement does not see what was stored while it waited
    for a lock: see docs/decisions/0021-blocks.md.
    """
    return sa.select(col(User.id)).where(BOTH_USERS).order_by(col(User.id)).with_for_update()


def insert_pair(table: type[Pair]) -> sa.CTE:
    """Insert the row of `viewer_id` for `user_id`, who are locked; see `insert_or_get`.

    Nothing is inserted or returned if one of them does not exist.
    """
    both = sa.select(sa.func.count().label("users")).where(BOTH_USERS)
    return insert_or_get(table, (VIEWER_ID, USER_ID), both.having(sa.func.count() == 2))


def delete_pair(table: type[Pair]) -> AnySelect:
    """Delete the row of `viewer_id` for `user_id`, if any; return a row if `user_id` exists."""
    row = sa.delete(table).where(col(table.from_id) == VIEWER_ID, col(table.to_id) == USER_ID)
    user = sa.select(col(User.id)).where(col(User.id) == USER_ID, NOT_DELETED)
    return user.add_cte(row.cte("deleted"))


def paired_users(table: type[Pair], user_id: Column) -> AnySelect:
    """Select the users for whom a user has a row."""
    paired = users().join(table, col(table.to_id) == User.id)
    return paired.where(col(table.from_id) == user_id)


class SocialResponse(BaseModel):
    """`from_id` follows, blocks or mutes `to_id` since `date`."""

    from_id: int
    to_id: int
    date: datetime

"""What blocks and mutes share: rows that the user `viewer_id` has for the user `user_id`."""

import sqlalchemy as sa
from sqlmodel import SQLModel, col

from pamps.models.columns import VIEWER_ID, AnySelect, insert_or_get
from pamps.models.user import NOT_DELETED, USER_ID, User, users

BOTH_USERS = col(User.id).in_((VIEWER_ID, USER_ID)) & NOT_DELETED


def lock_pair() -> AnySelect:
    """Lock both users, so that neither can do anything to the other at the same time.

    It is a statement of its own, because a statement does not see what was stored while it waited
    for a lock: see docs/decisions/0021-blocks.md.
    """
    return sa.select(col(User.id)).where(BOTH_USERS).order_by(col(User.id)).with_for_update()


def insert_pair(table: type[SQLModel]) -> sa.CTE:
    """Insert the row of the users, who are locked; see `insert_or_get`.

    Nothing is inserted or returned if one of them does not exist.
    """
    both = sa.select(sa.func.count().label("users")).where(BOTH_USERS)
    return insert_or_get(table, (VIEWER_ID, USER_ID), both.having(sa.func.count() == 2))


def delete_pair(table: type[SQLModel]) -> AnySelect:
    """Delete the row of the users, if there is one; return a row if `user_id` exists."""
    columns = sa.inspect(table).columns
    row = sa.delete(table).where(columns.from_id == VIEWER_ID, columns.to_id == USER_ID)
    user = sa.select(col(User.id)).where(col(User.id) == USER_ID, NOT_DELETED)
    return user.add_cte(row.cte("deleted"))


def paired_users(table: type[SQLModel]) -> AnySelect:
    """Select the users for whom `viewer_id` has rows in the table."""
    columns = sa.inspect(table).columns
    paired = users().join(table, columns.to_id == User.id)
    return paired.where(columns.from_id == VIEWER_ID)

"""What blocks and mutes hide from users, and what blocks keep them from doing."""

import sqlalchemy as sa
from sqlmodel import SQLModel

from pamps.models.columns import VIEWER_ID, Column, Condition, IdColumn, has_row


def visible_to_viewer(
    author_id: IdColumn,
    *,
    viewer_id: Column = VIEWER_ID,
    include_muted: bool = False,
    include_blocked: bool = False,
) -> Condition:
    """Return the condition that blocks and mutes do not hide an author's posts from `viewer_id`.

    Use it below every LIMIT, as `user_not_deleted`. It looks up each author, and never reads all
    blocks of a user. Without a viewer it is true. `viewer_id` may be another column, where each row
    has a viewer of its own.
    """
    pairs = []
    if not include_blocked:
        pairs += [("block", "from_id"), ("block", "to_id")]
    if not include_muted:
        pairs.append(("mute", "from_id"))
    hidden = [_author_if_in(table, side, author_id, viewer_id) for table, side in pairs]
    # PostgreSQL expects that this comparison is true for almost all rows, which it is.
    return viewer_id.is_(None) | author_id.is_distinct_from(sa.func.coalesce(*hidden))


def _author_if_in(table: str, side: str, author_id: IdColumn, viewer_id: Column) -> Column:
    """Return the id of the author if a table has a row of both users; else null.

    `side` is the column of the table that has the viewer.
    """
    # The table is found by its name, as in a foreign key: its module may import this one.
    rows = SQLModel.metadata.tables[table].alias(f"{table}_{side}")
    author = rows.c.to_id if side == "from_id" else rows.c.from_id
    of_viewer = sa.select(sa.true()).where(rows.c[side] == viewer_id).correlate_except(rows)
    # Once a statement. In this order, PostgreSQL always reads one row of one index.
    has_any = of_viewer.order_by(rows.c.id).limit(sa.literal_column("1")).scalar_subquery()
    # No EXISTS: PostgreSQL could read all rows of the viewer first.
    found = sa.select(author).where(rows.c[side] == viewer_id, author == author_id)
    return sa.case((has_any, found.correlate_except(rows).scalar_subquery()))


def has_block(one: Column, other: Column) -> Condition:
    """Return the condition that there is a block between two users, in either direction."""
    return has_row("block", from_id=one, to_id=other) | has_row("block", from_id=other, to_id=one)


def is_blocked(one: IdColumn, other: IdColumn) -> Condition:
    """Ask for a block between two users, in a statement that has locked one of them.

    The function of the database sees blocks that were committed while the statement waited for the
    lock: see docs/decisions/0021-blocks.md.
    """
    return sa.func.is_blocked(one, other, type_=sa.Boolean)


def is_muted(from_id: IdColumn, to_id: IdColumn) -> Condition:
    """Ask for a mute of `to_id` by `from_id`, in a statement that has locked one of them."""
    return sa.func.is_muted(from_id, to_id, type_=sa.Boolean)

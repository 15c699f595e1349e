"""Reposts: table, queries."""

import sqlalchemy as sa
from sqlmodel import Field, col

from pamps.models.columns import VIEWER_ID, AnySelect, Interaction
from pamps.models.interaction import delete_counted, insert_counted
from pamps.models.post import POST_ID, Post
from pamps.models.timeline import Entry, insert_entries

# The cast of text keeps Alembic from taking the sequence for one of this table.
NEXT_POST_ID = sa.text("nextval(('post_id_seq'::text)::regclass)")


class Repost(Interaction, table=True):
    """`user_id` has reposted `post_id`.

    The ids come from the sequence of the posts' ids, so that posts and reposts have one order.
    """

    __table_args__ = (sa.Index("ix_repost_post", "post_id", "id"),)

    id: int = Field(None, sa_type=sa.BigInteger, sa_column_kwargs={"server_default": NEXT_POST_ID})


def repost() -> AnySelect:
    """Repost `post_id` for `viewer_id`: see `insert_counted`."""
    query = insert_counted(Repost, col(Post.repost_count), "repost")
    new = query.selected_columns
    entry = sa.select(new.user_id, new.id, new.post_id, col(Post.user_id))
    entry = entry.join(Post, col(Post.id) == new.post_id).where(new.created)
    return query.add_cte(insert_entries(entry))


def undo_repost() -> AnySelect:
    """Undo `repost`: see `delete_counted`."""
    is_own = (col(Repost.user_id) == VIEWER_ID) & (col(Repost.post_id) == POST_ID)
    is_entry = (col(Entry.user_id) == Repost.user_id) & (col(Entry.id) == Repost.id)
    entry = sa.delete(Entry).where(is_own, is_entry).cte("entry_deleted")
    return delete_counted(Repost, col(Post.repost_count), "repost").add_cte(entry)

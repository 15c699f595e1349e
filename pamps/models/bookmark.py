"""Bookmarks: table, queries."""

import sqlalchemy as sa

from pamps.models.columns import AnySelect, Interaction
from pamps.models.interaction import delete_interaction, insert_interaction
from pamps.models.post import existing_post


class Bookmark(Interaction, table=True):
    """`user_id` has bookmarked `post_id`."""

    __table_args__ = (
        sa.Index("ix_bookmark_user", "user_id", "id"),
        sa.Index("ix_bookmark_post", "post_id"),
    )


def bookmark() -> AnySelect:
    """Bookmark `post_id` for `viewer_id`; return the bookmark, and if it is new (`created`)."""
    return sa.select(*insert_interaction(Bookmark, ignore_blocks=True).c)


def unbookmark() -> AnySelect:
    """Delete the bookmark of `viewer_id` for `post_id`, if there is one; return the id of the post.

    Nothing is returned if the post does not exist.
    """
    post = existing_post().cte("post")
    return sa.select(post.c.id).add_cte(delete_interaction(Bookmark, post))

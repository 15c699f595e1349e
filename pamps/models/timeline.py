"""The timeline: table, query, response. See docs/decisions/0020-timeline.md."""

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, col

from pamps.models.columns import (
    LIMIT,
    VIEWER_ID,
    AnySelect,
    Column,
    Condition,
    IdColumn,
    foreign_key,
    page_of,
)
from pamps.models.follow import Social
from pamps.models.post import ID, USERNAME, Post, PostAuthor, PostResponse, posts
from pamps.models.user import User, user_not_deleted
from pamps.models.visibility import visible_to_viewer


class Entry(SQLModel, table=True):
    """`user_id` has posted or reposted `post_id`, which is by `author_id`.

    The id is that of the post or of the repost. There is one index for both, because the
    timeline of somebody who follows 500 users reads it at 500 places.
    """

    __table_args__ = (
        sa.PrimaryKeyConstraint("user_id", "id", postgresql_include=["post_id", "author_id"]),
        sa.Index("ix_entry_post", "post_id"),
    )

    user_id: int = foreign_key("user.id", caller=True)
    id: int = Field(sa_type=sa.BigInteger)
    post_id: int = foreign_key("post.id")
    author_id: int = Field(sa_type=sa.BigInteger)


AVATAR: Column = sa.literal_column("'avatar'")
# The key of a timeline's pages.
ENTRY_ID: Column = sa.literal_column("entries.id", sa.BigInteger)


def insert_entries(rows: AnySelect) -> sa.CTE:
    """Insert entries; `rows` has their columns, in this order."""
    names = ["user_id", "id", "post_id", "author_id"]
    return sa.insert(Entry).from_select(names, rows, include_defaults=False).cte("new_entries")


def timeline(*, newest_first: bool = True) -> AnySelect:
    """Select the posts and reposts of everyone that `viewer_id` follows, next to `cursor`.

    A page of n entries is by at most n users. So find the n followed users with the next entries
    (one index read each), then read only their entries.
    """
    in_order = sa.desc if newest_first else sa.asc

    def next_entries(user_id: IdColumn, limit: Column, *within: Condition) -> AnySelect:
        entries = sa.select(col(Entry.id), col(Entry.user_id), col(Entry.post_id))
        entries = entries.where(col(Entry.user_id) == user_id, *within)
        entries = entries.where((col(Entry.id) == Entry.post_id) | _is_shown_repost())
        return page_of(entries, col(Entry.id), newest_first=newest_first, limit=limit)

    first = next_entries(col(Social.to_id), sa.literal_column("1")).lateral("first")
    followed = sa.select(first.c.id, col(Social.to_id)).join(first, sa.true())
    followed = followed.where(col(Social.from_id) == VIEWER_ID)
    # Sorted before they are looked up in blocks and mutes, so that only few are looked up.
    in_turn = followed.order_by(in_order(first.c.id)).subquery("in_turn")
    shown = sa.select(in_turn).where(_is_shown(in_turn.c.to_id))
    users = shown.order_by(in_order(in_turn.c.id)).limit(LIMIT).cte("users")
    # Their first entries fill a page, so what comes behind all of these is not on it.
    end = sa.func.min(users.c.id) if newest_first else sa.func.max(users.c.id)
    last = sa.select(end).having(sa.func.count() == LIMIT).scalar_subquery()
    if newest_first:
        within = col(Entry.id) >= sa.func.coalesce(last, sa.literal_column("0"))
    else:
        within = col(Entry.id) <= sa.func.coalesce(last, sa.literal_column(str(2**63 - 1)))
    page = next_entries(users.c.to_id, LIMIT, within).lateral("page")
    ids = sa.select(page).select_from(users).join(page, sa.true())
    entries = ids.order_by(in_order(page.c.id)).limit(LIMIT).subquery("entries")

    user = sa.inspect(User).local_table.alias("reposter")
    fields = ID, user.c.id, USERNAME, user.c.username, AVATAR, user.c.avatar
    reposter = sa.select(sa.func.json_build_object(*fields)).where(user.c.id == entries.c.user_id)
    is_repost = entries.c.id != entries.c.post_id
    reposted_by: Column = sa.case((is_repost, reposter.scalar_subquery()))
    entry = posts().join(entries, entries.c.post_id == Post.id)
    return entry.add_columns(reposted_by.label("reposted_by"))


def _is_shown_repost() -> Condition:
    # A post with many reposts becomes the only post of a deleted account.
    posts = sa.select(col(Post.id)).where(col(Post.user_id) == User.id)
    newest = posts.order_by(col(Post.id).desc()).limit(sa.literal_column("1")).lateral("newest")
    moved = sa.select(newest.c.id).select_from(User).join(newest, sa.true())
    gone = sa.func.array(moved.where(col(User.deleted)).scalar_subquery())
    is_kept = col(Entry.post_id) != sa.all_(gone)
    return (col(Entry.author_id) != VIEWER_ID) & is_kept & _is_shown(col(Entry.author_id))


def _is_shown(user_id: IdColumn) -> Condition:
    return user_not_deleted(user_id) & visible_to_viewer(user_id)


class TimelineEntry(PostResponse):
    """A post of a user whom the caller follows, or one that such a user has reposted."""

    reposted_by: PostAuthor | None

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
from pamps.models.event import record_events
from pamps.models.follow import Social
from pamps.models.post import ID, USERNAME, Post, PostAuthor, PostResponse, all_posts
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
ENTRY = sa.inspect(Entry).local_table
# The key of a timeline's pages.
ENTRY_ID: Column = sa.literal_column("entries.id", sa.BigInteger)


def _moved_posts() -> sa.CTE:
    """Select the newest post of each deleted account."""
    posts = sa.select(col(Post.id)).where(col(Post.user_id) == User.id)
    newest = posts.order_by(col(Post.id).desc()).limit(sa.literal_column("1")).lateral("newest")
    moved = sa.select(newest.c.id).select_from(User).join(newest, sa.true())
    return moved.where(col(User.deleted)).cte("moved_posts")


# A post that many have reposted is the only post of a deleted account until its rows are deleted.
MOVED_POSTS = _moved_posts()


def insert_entries(rows: AnySelect) -> sa.CTE:
    """Insert entries, and an event for each; `rows` has their columns, in this order."""
    names = ["user_id", "id", "post_id", "author_id"]
    inserted = sa.insert(Entry).from_select(names, rows, include_defaults=False)
    new = inserted.returning(col(Entry.user_id), col(Entry.id)).cte("new_entries")
    return record_events("post", new, new.c.user_id, new.c.id)


def timeline(*, newest_first: bool = True) -> AnySelect:
    """Select the posts and reposts of everyone that `viewer_id` follows, next to `cursor`.

    Finds the next entry of each followed user by one index read. The first n of these that the
    viewer sees fill a page of n, so what comes behind them all is not on it.
    """
    in_order = sa.desc if newest_first else sa.asc

    def next_entries(user_id: IdColumn, limit: Column, *conditions: Condition) -> AnySelect:
        entries = sa.select(ENTRY).where(ENTRY.c.user_id == user_id, *conditions)
        return page_of(entries, ENTRY.c.id, newest_first=newest_first, limit=limit)

    def is_within(id_: Column) -> Condition:
        return id_ >= last_id if newest_first else id_ <= last_id

    first = next_entries(col(Social.to_id), sa.literal_column("1")).lateral("first")
    of_followed = sa.select(first).select_from(Social).join(first, sa.true())
    followed = of_followed.where(col(Social.from_id) == VIEWER_ID).cte("followed")
    # Sorted before they are looked up in blocks and mutes, so that only few are looked up.
    in_turn = sa.select(followed).order_by(in_order(followed.c.id)).subquery("in_turn")
    seen = sa.select(in_turn.c.id).where(is_seen(in_turn), is_shown(in_turn))
    ids = seen.order_by(in_order(in_turn.c.id)).limit(LIMIT).subquery("seen").c.id
    end, of_all = (sa.func.min, "0") if newest_first else (sa.func.max, str(2**63 - 1))
    of_page = sa.select(end(ids)).having(sa.func.count() == LIMIT).scalar_subquery()
    last = sa.select(sa.func.coalesce(of_page, sa.literal_column(of_all)).label("id")).cte("last")
    last_id = sa.select(last.c.id).scalar_subquery()
    page = next_entries(followed.c.user_id, LIMIT, is_within(ENTRY.c.id), is_shown(ENTRY))
    of_user = page.lateral("of_user")
    rows = sa.select(of_user).select_from(followed).join(of_user, sa.true())
    rows = rows.where(is_within(followed.c.id), is_seen(followed)).order_by(in_order(of_user.c.id))
    entries = rows.limit(LIMIT).subquery("entries")

    entry = all_posts().join(entries, entries.c.post_id == Post.id)
    is_repost = entries.c.id != entries.c.post_id
    return entry.add_columns(reposted_by(is_repost, entries.c.user_id))


def reposted_by(is_repost: Condition, user_id: Column) -> Column:
    """Return who has reposted a post as a JSON object; null for no repost."""
    user = sa.inspect(User).local_table.alias("reposter")
    fields = ID, user.c.id, USERNAME, user.c.username, AVATAR, user.c.avatar
    reposter = sa.select(sa.func.json_build_object(*fields)).where(user.c.id == user_id)
    return sa.case((is_repost, reposter.scalar_subquery())).label("reposted_by")


def is_seen(entry: sa.FromClause, viewer_id: Column = VIEWER_ID) -> Condition:
    """Return the condition that the viewer sees the user of an entry, whom they follow."""
    id_ = entry.c.user_id
    # There is no block between users of whom one follows the other.
    is_visible = visible_to_viewer(id_, viewer_id=viewer_id, include_blocked=True)
    return user_not_deleted(id_) & is_visible


def is_shown(entry: sa.FromClause, viewer_id: Column = VIEWER_ID) -> Condition:
    """Return the condition that the viewer sees what an entry shows."""
    moved = sa.func.array(sa.select(MOVED_POSTS.c.id).scalar_subquery())
    is_kept = (entry.c.author_id != viewer_id) & (entry.c.post_id != sa.all_(moved))
    is_visible = visible_to_viewer(entry.c.author_id, viewer_id=viewer_id)
    author = user_not_deleted(entry.c.author_id) & is_visible
    return (entry.c.id == entry.c.post_id) | (is_kept & author)


class TimelineEntry(PostResponse):
    """A post of a user whom the caller follows, or one that such a user has reposted."""

    reposted_by: PostAuthor | None

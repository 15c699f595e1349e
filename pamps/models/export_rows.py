"""The rows of an export, as JSON that PostgreSQL makes: queries."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlmodel import SQLModel, col

from pamps.models.audit import Audit
from pamps.models.block import Block
from pamps.models.bookmark import Bookmark
from pamps.models.columns import AnySelect, Column, Pair, page_of
from pamps.models.export import (
    ExportedAct,
    ExportedInteraction,
    ExportedItem,
    ExportedNotification,
    ExportedPair,
    ExportedPost,
    ExportedProfile,
    ExportedSession,
)
from pamps.models.follow import Social
from pamps.models.like import Like
from pamps.models.mute import Mute
from pamps.models.notification import Inbox, Notification
from pamps.models.post import Post
from pamps.models.repost import Repost
from pamps.models.session import UserSession
from pamps.models.user import NOT_DELETED, USER_ID, User

# About 100 KB of posts: small, as each batch is in memory as a whole, and a statement of its own.
BATCH_SIZE = sa.literal_column("250", sa.BigInteger)
UTC: Column = sa.literal_column("'UTC'")
# RFC 3339, with microseconds as in all responses.
TIME_FORMAT: Column = sa.literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""")


USERNAME = sa.inspect(User).columns.username


class ExportedList(NamedTuple):
    """A list of an export: its items, and their key, which has an index."""

    items: AnySelect
    key: Column


def exported_user() -> AnySelect:
    """Select when the export began, the username, and the `profile` as JSON."""
    is_user = col(User.id) == USER_ID, NOT_DELETED
    profile = _items(ExportedProfile, User, {}).where(*is_user).subquery("profile")
    columns = _time(sa.func.now()).label("exported_at"), profile.c.username
    return sa.select(*columns, _json(profile.c).label("profile"))


def exported_lists() -> dict[str, ExportedList]:
    """Return the lists of an export by their names, in its order."""
    return {
        "posts": _posts(),
        "likes": _list(ExportedInteraction, Like),
        # By the post, as no index has a user's reposts in the order of their ids.
        "reposts": _list(ExportedInteraction, Repost, key="post_id"),
        "bookmarks": _list(ExportedInteraction, Bookmark),
        "following": _pairs(Social, "from_id", "to_id"),
        "followers": _pairs(Social, "to_id", "from_id"),
        "blocks": _pairs(Block, "from_id", "to_id"),
        "mutes": _pairs(Mute, "from_id", "to_id"),
        "notifications": _notifications(),
        "sessions": _list(ExportedSession, UserSession),
        "audit": _acts(),
    }


def exported_batch(of: ExportedList) -> AnySelect:
    """Select a batch of a list, which begins after `cursor`.

    It is one row: the `items` as JSON, with commas and newlines between them, and the `cursor` of
    the next batch. Both are null if nothing is left.
    """
    keyed = of.items.add_columns(of.key.label("key"))
    page = page_of(keyed, of.key, newest_first=False, limit=BATCH_SIZE).subquery("page")
    *fields, key = page.c
    comma: Column = sa.literal_column("E',\\n'")
    items = sa.func.string_agg(_json(fields), aggregate_order_by(comma, key))
    return sa.select(items.label("items"), sa.func.max(key).label("cursor"))


def _json(columns: Iterable[Column]) -> Column:
    arguments: list[Column] = []
    for column in columns:
        arguments += sa.literal_column(f"'{column.name}'"), column
    return sa.cast(sa.func.json_build_object(*arguments), sa.Text)


def _time(time: Column) -> Column:
    return sa.func.to_char(sa.func.timezone(UTC, time), TIME_FORMAT)


def _items(
    model: type[ExportedItem], table: type[SQLModel], others: Mapping[str, Column]
) -> AnySelect:
    """Select the fields of a model, which are columns of a table unless they are in `others`."""
    columns = {**sa.inspect(table).columns, **others}
    fields = []
    for name, field in model.model_fields.items():
        is_time = field.annotation in (datetime, datetime | None)
        fields.append((_time(columns[name]) if is_time else columns[name]).label(name))
    return sa.select(*fields)


def _list(
    model: type[ExportedItem],
    table: type[SQLModel],
    others: Mapping[str, Column] = MappingProxyType({}),
    *,
    own: str = "user_id",
    key: str = "id",
) -> ExportedList:
    """Return the list of the rows that have the user in the column `own`."""
    columns = sa.inspect(table).columns
    items = _items(model, table, others).where(columns[own] == USER_ID)
    return ExportedList(items, columns[key])


def _with_user(items: ExportedList, user_id: Column) -> ExportedList:
    """Join the other user of each item, whose username it shows."""
    joined = items.items.join(User, col(User.id) == user_id).where(NOT_DELETED)
    return items._replace(items=joined)


def _posts() -> ExportedList:
    none: Column = sa.literal_column("'{}'")
    mentions, tags = col(Post.mention_ids), col(Post.tags)
    lists: dict[str, Column] = {
        "mention_ids": sa.func.coalesce(mentions, none),
        "tags": sa.func.coalesce(tags, none),
    }
    return _list(ExportedPost, Post, lists)


def _pairs(table: type[Pair], own: str, other: str) -> ExportedList:
    user_id = sa.inspect(table).columns[other]
    others = {"user_id": user_id, "username": USERNAME}
    return _with_user(_list(ExportedPair, table, others, own=own), user_id)


def _notifications() -> ExportedList:
    read_id = sa.select(col(Inbox.read_id)).where(col(Inbox.user_id) == USER_ID).scalar_subquery()
    user_id: Column = sa.inspect(Notification).columns.from_id
    is_read = col(Notification.id) <= read_id
    others: dict[str, Column] = {"read": is_read, "user_id": user_id, "username": USERNAME}
    return _with_user(_list(ExportedNotification, Notification, others), user_id)


def _acts() -> ExportedList:
    columns = sa.inspect(Audit).columns
    is_own = sa.func.coalesce(columns.actor_id == USER_ID, sa.false())
    address: Column = sa.case((is_own, columns.address))
    acts = _items(ExportedAct, Audit, {"own": is_own, "address": address})
    return ExportedList(acts.where(sa.or_(columns.target_id == USER_ID, is_own)), columns.id)

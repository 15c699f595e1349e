"""Events as they are sent to clients: Server-Sent Events with the responses of the API as data."""

import re
from collections.abc import Iterable, Iterator
from random import randrange
from typing import NamedTuple

from fastapi.sse import format_sse_event

from pamps.db import Query, Row, Source
from pamps.models.delivery import delivered_posts
from pamps.models.event import BEGIN, EventKind, Position
from pamps.models.notification_list import notifications_of_users
from pamps.models.post import OWN_FIELDS
from pamps.responses import encode_json

# How soon a client should come back after its connection was lost, in milliseconds; longer if the
# server stops, as all of its clients come at once.
RETRY_MILLISECONDS = 5_000
RETRY_AFTER_STOP_MILLISECONDS = 15_000
ID = re.compile("([0-9]{1,18})-([0-9]{1,18})")

POSTS = Query(delivered_posts())
NOTIFICATIONS = Query(notifications_of_users())


class Message(NamedTuple):
    """An event for a viewer, encoded; `viewer_id` is None for all anonymous ones."""

    viewer_id: int | None
    position: Position
    content: bytes


def format_id(position: Position) -> str:
    return f"{position.xid}-{position.id}"


def parse_id(text: str) -> Position | None:
    """Return the position that an event's id stands for, or None if it is none of ours."""
    match = ID.fullmatch(text)
    return Position(*map(int, match.groups())) if match else None


def format_event(kind: str, position: Position, data: object) -> bytes:
    text = encode_json(data).decode()
    return format_sse_event(event=kind, id=format_id(position), data_str=text)


def format_opening(position: Position) -> bytes:
    """Format the first event, which tells a client where the stream begins."""
    retry = format_sse_event(retry=_random_retry(RETRY_MILLISECONDS)).removesuffix(b"\n")
    return retry + format_event("open", position, {})


def format_ping(position: Position) -> bytes:
    """Format a comment that keeps a connection open, and tells where the stream is."""
    return format_sse_event(comment="ping", id=format_id(position))


def format_farewell() -> bytes:
    """Format when a client should come back, as this server stops."""
    return format_sse_event(retry=_random_retry(RETRY_AFTER_STOP_MILLISECONDS))


def _random_retry(most: int) -> int:
    return randrange(1_000, most)  # nosec B311


async def read_messages(deliveries: list[Row], source: Source | None = None) -> Iterator[Message]:
    """Return the messages for some rows of `deliveries`, in their order.

    What was deleted meanwhile has none. Raises psycopg.Error.
    """
    shown = {_key(row) for row in deliveries if row["kind"] in ("post", "edited")}
    told = [row for row in deliveries if row["kind"] == "notification"]
    posts = await _read_posts(shown, source)
    notifications = await _read_notifications(told, source)
    return _messages(deliveries, posts, notifications)


def _key(row: Row) -> tuple[int, int | None]:
    """Return by what a post is found for a delivery: its id, and that of who has reposted it."""
    return row["post_id"], row["reposter_id"]


async def _read_posts(
    keys: Iterable[tuple[int, int | None]], source: Source | None
) -> dict[tuple[int, int | None], Row]:
    wanted = list(keys)
    if not wanted:
        return {}
    post_ids, reposter_ids = map(list, zip(*wanted, strict=True))
    rows = await POSTS.all(source, post_ids=post_ids, reposter_ids=reposter_ids)
    return {(row["id"], row.pop("reposter_id")): row for row in rows}


async def _read_notifications(deliveries: list[Row], source: Source | None) -> dict[int, Row]:
    if not deliveries:
        return {}
    user_ids = [row["viewer_id"] for row in deliveries]
    ids = [row["subject_id"] for row in deliveries]
    rows = await NOTIFICATIONS.all(source, user_ids=user_ids, ids=ids)
    return {row["id"]: row for row in rows}


def _messages(
    deliveries: list[Row],
    posts: dict[tuple[int, int | None], Row],
    notifications: dict[int, Row],
) -> Iterator[Message]:
    position, encoded = BEGIN, dict[object, bytes]()
    for row in deliveries:
        if not row["has_viewer"]:
            continue
        if position.id != row["id"]:
            position, encoded = Position(row["xid"], row["id"]), {}
        kind: EventKind = row["kind"]
        data: Row | None
        if kind == "deleted":
            variant, data = None, {"id": row["post_id"]}
        elif kind == "notification":
            variant, data = row["viewer_id"], notifications.get(row["subject_id"])
        else:
            own = {name: row[name] for name in OWN_FIELDS}
            variant, data = tuple(own.values()), posts.get(_key(row))
            data = data and data | own
            if data and (kind == "edited" or row["viewer_id"] is None):
                del data["reposted_by"]
        if data is None:
            continue
        # Many viewers get the same bytes.
        if variant not in encoded:
            encoded[variant] = format_event(kind, position, data)
        yield Message(row["viewer_id"], position, encoded[variant])

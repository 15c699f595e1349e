"""What a client is sent: what it has missed, read for it alone, and then what comes."""

import logging
from collections.abc import AsyncIterator

import psycopg

from pamps.db import Query
from pamps.live.hub import parameters
from pamps.live.messages import format_event, format_opening, read_messages
from pamps.live.stream import Stream
from pamps.models.delivery import deliveries
from pamps.models.event import Position

logger = logging.getLogger(__name__)

# How many events are looked through at once, and how many of those that are for the client are read
# and sent at once.
PAGE, CHUNK = 5_000, 100

DELIVERIES = Query(deliveries())


async def _missed(viewer_id: int | None, after: Position, until: Position) -> AsyncIterator[bytes]:
    """Return the events between two positions that are for a viewer. Raises psycopg.Error."""
    while after < until:
        rows = await DELIVERIES.all(**parameters(after, until, PAGE, [viewer_id]))
        if not rows:
            return
        for start in range(0, len(rows), CHUNK):
            messages = await read_messages(rows[start : start + CHUNK])
            yield b"".join(message.content for message in messages)
        after = Position(rows[-1]["xid"], rows[-1]["id"])


async def content(stream: Stream, sent: Position | None, is_lost: bool) -> AsyncIterator[bytes]:
    """Return what is sent on a stream to a client that is at the position `sent`, if it has one.

    `is_lost` if it had one that is not known. It is to read all anew, and then go on from here.
    """
    yield format_opening(sent or stream.joined)
    if is_lost:
        yield format_event("reset", stream.joined, {})
    if sent:
        try:
            async for missed in _missed(stream.user_id, sent, stream.joined):
                yield missed
        except psycopg.Error as error:
            logger.warning("a client that comes back cannot be told what it missed: %s", error)
            return
    while new := await stream.next():
        yield new

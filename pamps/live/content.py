"""What a client is sent: what it has missed, read for it alone, and then what comes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from time import monotonic

import psycopg

from pamps.db import Query
from pamps.live.hub import parameters
from pamps.live.messages import format_event, format_opening, read_messages
from pamps.live.stream import Stream
from pamps.loops import PerLoop
from pamps.models.delivery import deliveries
from pamps.models.event import Position

logger = logging.getLogger(__name__)

# How many events are looked through at once, and how many of those that are for the client are read
# and sent at once.
PAGE, CHUNK = 5_000, 100

DELIVERIES = Query(deliveries())
# So many clients that come back are read for at once, as all of a killed worker come together.
_places = PerLoop(lambda: asyncio.Semaphore(2))


async def _missed(viewer_id: int | None, after: Position, until: Position) -> AsyncIterator[bytes]:
    """Return the events between two positions that are for a viewer. Raises psycopg.Error."""
    while after < until:
        async with _places.get():
            began = monotonic()
            rows = await DELIVERIES.all(**parameters(after, until, PAGE, [viewer_id]))
            # As long as it took, so that at least half of the time is left to others.
            await asyncio.sleep(monotonic() - began)
        if not rows:
            return
        for start in range(0, len(rows), CHUNK):
            messages = await read_messages(rows[start : start + CHUNK])
            yield b"".join(message.content for message in messages)
        after = Position(rows[-1]["xid"], rows[-1]["id"])


async def content(stream: Stream) -> AsyncIterator[bytes]:
    """Return what is sent on a stream, until it ends."""
    yield format_opening(stream.sent or stream.joined)
    if stream.is_lost:
        yield format_event("reset", stream.joined, {})
    if stream.sent:
        try:
            async for missed in _missed(stream.user_id, stream.sent, stream.joined):
                yield missed
        except psycopg.Error as error:
            logger.warning("a client that comes back cannot be told what it missed: %s", error)
            return
    while new := await stream.next():
        yield new

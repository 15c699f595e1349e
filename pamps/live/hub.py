"""Reads new events once for all streams of a process, and hands them out."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from time import monotonic
from typing import TypeVar

from pamps.config import settings
from pamps.db import Query, Row, Source, Transaction
from pamps.live.hints import listen, wait_for_hint
from pamps.live.messages import (
    format_event,
    format_farewell,
    format_ping,
    read_messages,
)
from pamps.live.places import Places
from pamps.live.stream import Stream
from pamps.loops import PerLoop
from pamps.models.delivery import deliveries
from pamps.models.event import BEGIN, Position, known_position, newest_position, overdue_event
from pamps.models.session import ended_sessions
from pamps.observability.metrics import record_sent_events
from pamps.postgres.connection import DATABASE, Connection
from pamps.protocol import HTTPProtocol

logger = logging.getLogger(__name__)

# How many events are read at once, and for how many streams, as each may be for all of them.
MAX_EVENTS, MAX_MESSAGES = 250, 10_000
END = Position(2**63 - 1, 2**63 - 1)
# The shortest and the longest time between two looks for events, in seconds. After an event the
# next look is soon, as others may not be settled yet: see `IS_SETTLED`.
SOONEST_SECONDS = 0.02
LATEST_SECONDS = 1
# The shortest time after a look that found so many events: each costs less among many.
MANY_EVENTS, SOONEST_AFTER_MANY_SECONDS = 10, 0.1
# The same without hints, as a pooler such as PgBouncer is in between.
POLL_SECONDS = 0.2
# How often sessions are checked, and how often a client gets at least something, in seconds.
CHECK_SECONDS = 1
PING_SECONDS = 15
# How soon it connects again, in seconds.
RETRY_SECONDS = 0.5
# So long after PostgreSQL should have ended a statement, its server counts as gone.
GRACE_SECONDS = 2

T = TypeVar("T")

DELIVERIES = Query(deliveries())
NEWEST_POSITION = Query(newest_position())
KNOWN_POSITION = Query(known_position())
OVERDUE_EVENT = Query(overdue_event())
ENDED_SESSIONS = Query(ended_sessions())
POSITION = attrgetter("position")


async def is_known(position: Position, source: Source | None = None) -> bool:
    """Tell whether all that came after a position is still there. Raises psycopg.Error."""
    found = await KNOWN_POSITION.first(source, after_xid=position.xid, after_id=position.id)
    return found is not None


def parameters(
    after: Position, until: Position, limit: int, viewer_ids: Iterable[int | None]
) -> Row:
    """Return the parameters of `deliveries`; an anonymous viewer is None."""
    ids = set(viewer_ids)
    return {
        "after_xid": after.xid,
        "after_id": after.id,
        "until_xid": until.xid,
        "until_id": until.id,
        "limit": limit,
        "viewer_ids": [*ids - {None}],
        "anonymous": None in ids,
    }


class Hub:
    """The streams of an event loop, and the task that reads events for them while there are any."""

    def __init__(self) -> None:
        # By their users; those of all anonymous callers under None.
        self.streams: defaultdict[int | None, set[Stream]] = defaultdict(set)
        # Where all streams are that are not behind.
        self.position = BEGIN
        self._places = Places()
        self._task: asyncio.Task[None] | None = None
        self._has_position = asyncio.Event()
        self._is_held_up = False
        # Held while events are read and handed out, so that no stream comes in between.
        self._reading = asyncio.Lock()

    async def join(self, stream: Stream) -> None:
        """Hand out to a stream what comes from now on, until it leaves.

        Raises TooManyStreamsError.
        """
        self._places.take(stream.caller)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        try:
            await self._has_position.wait()
            async with self._reading:
                stream.joined = self.position
                stream.after = max(stream.after, self.position)
                self.streams[stream.user_id].add(stream)
        except BaseException:
            self.leave(stream)
            raise

    def leave(self, stream: Stream) -> None:
        self._places.give_back(stream.caller)
        self.streams[stream.user_id].discard(stream)
        if not self.streams[stream.user_id]:
            del self.streams[stream.user_id]
        if not self._places.number and self._task:
            self._task.cancel()
            self._task = None
            self._has_position.clear()

    def __iter__(self) -> Iterator[Stream]:
        return iter([stream for streams in self.streams.values() for stream in streams])

    async def _run(self) -> None:
        """Read events, until cancelled."""
        caretaker = asyncio.create_task(self._look_after_streams())
        try:
            while True:
                try:
                    connection = await DATABASE.connect()
                    try:
                        await self._follow(connection)
                    finally:
                        await connection.close()
                except Exception as error:
                    logger.warning("no events can be read, trying again: %s", error)
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            caretaker.cancel()

    async def _look_after_streams(self) -> None:
        """Keep the connections of streams open, and end them when the server stops."""
        while True:
            for stream in self:
                if HTTPProtocol.draining:
                    stream.end(format_farewell())
                elif monotonic() - stream.sent_at >= PING_SECONDS:
                    stream.ping(format_ping(max(stream.after, self.position)))
            await asyncio.sleep(0.1)

    async def _follow(self, connection: Connection) -> None:
        """Read events on a connection. Raises psycopg.Error once it is lost."""
        source = Transaction(connection)
        has_hints = await listen(connection)
        await self._within_timeout(connection, self._find_position(source))
        pause, checked_at = SOONEST_SECONDS, 0.0
        while True:
            started = monotonic()
            number, has_more = await self._within_timeout(connection, self._read(source))
            if started - checked_at >= CHECK_SECONDS:
                checked_at = started
                await self._within_timeout(connection, self._check(source))
            if has_more:
                continue
            many = number >= MANY_EVENTS
            soonest = SOONEST_AFTER_MANY_SECONDS if many else SOONEST_SECONDS
            await asyncio.sleep(started + soonest - monotonic())
            if number:
                pause = SOONEST_SECONDS
            if not has_hints:
                await asyncio.sleep(POLL_SECONDS)
            elif await wait_for_hint(connection, pause):
                pause = SOONEST_SECONDS
            else:
                pause = min(2 * pause, LATEST_SECONDS)

    async def _within_timeout(self, connection: Connection, reading: Awaitable[T]) -> T:
        """Await what reads on a connection; end that if its server does not answer."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(settings.db.statement_timeout + GRACE_SECONDS, connection.abort)
        try:
            return await reading
        finally:
            timer.cancel()

    async def _find_position(self, source: Transaction) -> None:
        """Begin with the newest event, or make sure that none was lost since the one before."""
        async with self._reading:
            is_lost = self.position != BEGIN and not await is_known(self.position, source)
            if self._has_position.is_set() and not is_lost:
                return
            row = await NEWEST_POSITION.first(source)
            self.position = Position(row["xid"], row["id"]) if row else BEGIN
            if self._has_position.is_set():
                # This is another database, or one that has lost its latest transactions.
                for stream in self:
                    stream.after = self.position
                    stream.put(format_event("reset", self.position, {}))
            self._has_position.set()

    async def _read(self, source: Transaction) -> tuple[int, bool]:
        """Read new events and hand them out; tell how many, and whether there may be more."""
        async with self._reading:
            limit = max(1, min(MAX_EVENTS, MAX_MESSAGES // max(1, len(self.streams))))
            values = parameters(self.position, END, limit, self.streams)
            rows = await DELIVERIES.all(source, **values)
            if not rows:
                return 0, False
            await self._hand_out(rows, source)
            number: int = rows[0]["number"]
            return number, number == limit

    async def _hand_out(self, rows: list[Row], source: Transaction) -> None:
        sent = 0
        for position, messages in groupby(await read_messages(rows, source), POSITION):
            for message in messages:
                for stream in self.streams.get(message.viewer_id, ()):
                    if position > stream.after:
                        stream.put(message.content)
                        sent += 1
            # At once after its messages, or a ping could tell an older position.
            self.position = position
            await asyncio.sleep(0)
        self.position = Position(rows[-1]["xid"], rows[-1]["id"])
        record_sent_events(sent, rows[0]["seconds"])

    async def _check(self, source: Transaction) -> None:
        """End the streams of sessions that have ended, and report what holds up events."""
        overdue = await OVERDUE_EVENT.first(
            source, after_xid=self.position.xid, after_id=self.position.id
        )
        if overdue and not self._is_held_up:
            logger.warning("a transaction in progress holds up events: see docs/operations.md")
        self._is_held_up = bool(overdue)
        ids = {stream.session_id for stream in self} - {None}
        ended = {row["session_id"] for row in await ENDED_SESSIONS.all(source, session_ids=[*ids])}
        for stream in self:
            if stream.session_id in ended:
                stream.end()


hubs = PerLoop(Hub)

"""Whether a primary answers, and how far it says that replicas have to be."""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

import psycopg

from pamps.db import Query, Row, Transaction
from pamps.models.write_position import (
    begin_epoch,
    floor_position,
    raise_floor,
)
from pamps.postgres.arguments import connect_arguments
from pamps.postgres.connection import Connection
from pamps.postgres.probe import Probe
from pamps.postgres.replica import MAX_LAG_SECONDS, Position

logger = logging.getLogger(__name__)

T = TypeVar("T")

# How often the primary and each replica are asked, in seconds.
INTERVAL_SECONDS = 0.5
# How soon something is tried again without a primary, in seconds.
RETRY_SECONDS = 0.1
# How the SQLSTATEs of a connection begin that ends: of PostgreSQL, which stops or crashes, and of a
# PgBouncer that cannot reach it.
CONNECTION_ENDS = ("57P", "08")
FLOOR = Query(floor_position())
BEGIN_EPOCH = Query(begin_epoch())
RAISE_FLOOR = Query(raise_floor())


class PrimaryDown(psycopg.OperationalError):
    """No primary answers."""


class Primary:
    """The primary, as the processes of an event loop see it."""

    def __init__(self) -> None:
        # What each replica that serves anybody has to have replayed, once that is known.
        self.floor: Position | None = None
        # The newest position that this process has seen.
        self.newest = Position(0, 0)
        # When it answered last, by `monotonic`.
        self.answered_at: float | None = None
        # Until when replicas are read without one, by `monotonic`.
        self._missing_until = 0.0
        # Where the log was, and when, since MAX_LAG_SECONDS.
        self._history: deque[tuple[float, int]] = deque()
        self._probe = Probe(connect_arguments())
        # Done while no primary answers.
        self._down: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._check = asyncio.Event()

    @property
    def is_down(self) -> bool:
        return self._down.done()

    def is_missing(self) -> bool:
        """Return whether no primary answered, and the next question has not taken too long."""
        return monotonic() < self._missing_until

    def seen(self, row: Row) -> Position:
        """Return the position in a row, and remember it if it is the newest."""
        position = Position(row["epoch"] or 0, row["position"])
        if position.epoch != self.newest.epoch or position.lsn > self.newest.lsn:
            self.newest = position
        return position

    async def ask(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what a query returns that may run twice, as its connection may be lost.

        Raises PrimaryDown once no primary answers, and psycopg.Error.
        """
        while True:
            try:
                return await self._unless_down(ask())
            except PrimaryDown:
                raise
            except psycopg.OperationalError as error:
                if not (error.sqlstate or CONNECTION_ENDS[0]).startswith(CONNECTION_ENDS):
                    raise
                self._check.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _unless_down(self, query: Coroutine[Any, Any, T]) -> T:
        """Await a query. Raises PrimaryDown as soon as no primary answers, and psycopg.Error."""
        if self._down.done():
            query.close()
            raise PrimaryDown("no primary answers")
        task = asyncio.create_task(query)
        try:
            await asyncio.wait((task, self._down), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                # Ends its connection, or waits for the server, for which nobody has to wait.
                task.add_done_callback(lambda task: task.cancelled() or task.exception())
                task.cancel()
        if not task.done():
            raise PrimaryDown("no primary answers")
        return task.result()

    async def watch(self) -> None:
        """Ask the primary, until cancelled, so that it is known whether it answers."""
        while True:
            had_connection = self._probe.is_connected
            try:
                await self._probe.ask(self._update)
                self.answered_at = monotonic()
                if self._down.done():
                    logger.warning("a primary answers again")
                    self._down = asyncio.get_running_loop().create_future()
            except Exception as error:
                if had_connection and isinstance(error, psycopg.OperationalError):
                    continue  # a restart ends connections, and the next one may work
                self._missing_until = monotonic() + self._probe.longest_seconds + INTERVAL_SECONDS
                if not self._down.done():
                    logger.warning("no primary answers, reads go to replicas: %s", error)
                    self._down.set_result(None)
            self._check.clear()
            pause = RETRY_SECONDS if self._down.done() else INTERVAL_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._check.wait()

    async def _update(self, connection: Connection) -> None:
        """Read the floor, raise it now and then, and begin an epoch where there is none."""
        source = Transaction(connection)
        row = await FLOOR.first(source)
        if row is None:
            await BEGIN_EPOCH.execute(source, epoch=secrets.randbits(63))
            row = await FLOOR.first(source)
        if row is None:
            return
        if self.floor and self.floor.epoch != row["epoch"]:
            self._history.clear()
        self.floor = self.seen(row)
        now = monotonic()
        self._history.append((now, row["now"]))
        if now - self._history[0][0] >= MAX_LAG_SECONDS:
            _, lsn = self._history[0]
            self._history.clear()
            await RAISE_FLOOR.execute(source, epoch=self.floor.epoch, position=lsn)

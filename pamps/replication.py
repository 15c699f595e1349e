"""What this process knows of the primary and its replicas. See docs/decisions/0025-replicas.md."""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import cycle
from time import monotonic
from typing import Any, TypeVar

import psycopg

from pamps.config import settings
from pamps.db import Query, Row, Transaction
from pamps.loops import Batch
from pamps.models.write_position import (
    begin_epoch,
    floor_position,
    needed_positions,
    raise_floor,
    record_positions,
)
from pamps.observability.metrics import record_replicas
from pamps.postgres.arguments import connect_arguments, replica_arguments
from pamps.postgres.connection import Connection
from pamps.postgres.probe import Probe
from pamps.postgres.replica import MAX_LAG_SECONDS, Position, Replica, read_progress

logger = logging.getLogger(__name__)

T = TypeVar("T")

# How often the primary and each replica are asked, in seconds.
INTERVAL_SECONDS = 0.5
# How long a read waits for a replica that has all that it needs, without a primary, in seconds.
WAIT_SECONDS = 1
# How soon something is tried again without a primary, in seconds.
RETRY_SECONDS = 0.1
# How the SQLSTATEs of a connection begin that ends: of PostgreSQL, which stops or crashes, and of a
# PgBouncer that cannot reach it.
CONNECTION_ENDS = ("57P", "08")

FLOOR = Query(floor_position())
BEGIN_EPOCH = Query(begin_epoch())
RAISE_FLOOR = Query(raise_floor())
NEEDED_POSITIONS = Query(needed_positions())
RECORD_POSITIONS = Query(record_positions())


class PrimaryDown(psycopg.OperationalError):
    """No primary answers."""


class Replication:
    """The primary and the replicas, as the processes of an event loop see them."""

    def __init__(self) -> None:
        self.replicas = [Replica(arguments) for arguments in replica_arguments()]
        self._in_turn = cycle(self.replicas)
        # What each replica that serves anybody has to have replayed, once that is known.
        self._floor: Position | None = None
        # Where the log was, and when, since MAX_LAG_SECONDS.
        self._history: deque[tuple[float, int]] = deque()
        # The newest position that this process has seen.
        self._newest = Position(0, 0)
        self._primary = Probe(connect_arguments())
        # Done while no primary answers.
        self._down: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._check = asyncio.Event()
        self._needed = Batch(self._read_needed)
        self._recorded = Batch(self._record)

    async def needed(self, caller: int) -> Position | None:
        """Return what a caller needs a replica to have, if one will do. Raises PrimaryDown."""
        return (await self._needed.result([caller])).get(caller)

    async def record(self, callers: Iterable[int]) -> Position:
        """Record for callers where the log is now; return that. Raises psycopg.Error."""
        return await self._recorded.result(callers)

    async def _read_needed(self, callers: list[int]) -> dict[int, Position]:
        rows = await self.ask_primary(lambda: NEEDED_POSITIONS.all(callers=callers))
        return {row["caller"]: self.seen(row) for row in rows}

    async def _record(self, callers: list[int]) -> Position:
        # A write was just committed, so there is a primary, whether it was noticed or not.
        try:
            async with asyncio.timeout(settings.db.statement_timeout):
                row = await RECORD_POSITIONS.first(callers=callers)
        except TimeoutError:
            raise PrimaryDown("the primary does not answer") from None
        return self.seen(row or {})

    def seen(self, row: Row) -> Position:
        """Return the position in a row, and remember it if it is the newest."""
        position = Position(row["epoch"] or 0, row["position"])
        if position.epoch != self._newest.epoch or position.lsn > self._newest.lsn:
            self._newest = position
        return position

    async def ask_primary(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
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

    def next_replica(self) -> Replica | None:
        """Return one of the replicas that work, each in turn."""
        for _ in self.replicas:
            replica = next(self._in_turn)
            if not replica.problem:
                return replica
        return None

    async def read_without_primary(
        self, read: Callable[[Connection], Awaitable[T]], sent: Position | None
    ) -> T:
        """Read on a replica that has replayed all that it has received. Raises PrimaryDown."""
        needed = self._newest
        if sent and sent.epoch == needed.epoch:
            needed = max(needed, sent)
        deadline = monotonic() + WAIT_SECONDS
        while monotonic() < deadline:
            if replica := self.next_replica():
                try:
                    result = await replica.read(needed, read, all_received=True)
                except psycopg.Error as error:
                    logger.debug("a replica cannot serve a read: %s", error)
                else:
                    if result is not None:
                        return result
            await asyncio.sleep(RETRY_SECONDS)
        raise PrimaryDown("no primary answers, and no replica has all that is needed")

    async def watch_primary(self) -> None:
        """Ask the primary, until cancelled, so that it is known whether it answers."""
        while True:
            had_connection = self._primary.is_connected
            try:
                await self._primary.ask(self._update)
                if self._down.done():
                    logger.warning("a primary answers again")
                    self._down = asyncio.get_running_loop().create_future()
            except Exception as error:
                if had_connection and isinstance(error, psycopg.OperationalError):
                    continue  # a restart ends connections, and the next one may work
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
        if self._floor and self._floor.epoch != row["epoch"]:
            self._history.clear()
        self._floor = self.seen(row)
        now = monotonic()
        self._history.append((now, row["now"]))
        if now - self._history[0][0] >= MAX_LAG_SECONDS:
            _, lsn = self._history[0]
            self._history.clear()
            await RAISE_FLOOR.execute(source, epoch=self._floor.epoch, position=lsn)

    async def watch_replica(self, replica: Replica) -> None:
        """Ask a replica, until cancelled, to leave it out or to take it back."""
        while True:
            try:
                problem = (await replica.probe.ask(read_progress)).find_problem(self._floor)
            except Exception as error:
                problem = str(error)
                if isinstance(error, TimeoutError):
                    replica.abort_reads()
            replica.set_problem(problem)
            record_replicas(sum(not replica.problem for replica in self.replicas))
            await asyncio.sleep(INTERVAL_SECONDS)


_replications: dict[asyncio.AbstractEventLoop, Replication] = {}


def current_replication() -> Replication | None:
    """Return the replication of the running event loop, or None if there are no replicas."""
    return _replications.get(asyncio.get_running_loop())


@asynccontextmanager
async def open_replication() -> AsyncIterator[None]:
    """Read from replicas in the running event loop, if `db.replica_uri` is set."""
    if not settings.db.replica_uri:
        yield
        return
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        replication = Replication()
        for replica in replication.replicas:
            await stack.enter_async_context(replica.pool)
        watchers = [asyncio.create_task(replication.watch_primary())]
        watchers += [
            asyncio.create_task(replication.watch_replica(replica))
            for replica in replication.replicas
        ]
        _replications[loop] = replication
        try:
            yield
        finally:
            del _replications[loop]
            for watcher in watchers:
                watcher.cancel()
            await asyncio.wait(watchers)

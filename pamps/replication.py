"""What this process knows of the primary and its replicas. See docs/decisions/0025-replicas.md."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from time import monotonic
from typing import TypeVar

import psycopg

from pamps.config import settings
from pamps.db import Query
from pamps.loops import Batch
from pamps.models.write_position import needed_positions, record_positions
from pamps.observability.metrics import record_replicas
from pamps.postgres.arguments import replica_arguments
from pamps.postgres.connection import Connection
from pamps.postgres.replica import Position, Replica, read_progress
from pamps.primary import INTERVAL_SECONDS, RETRY_SECONDS, Primary, PrimaryDown

logger = logging.getLogger(__name__)

T = TypeVar("T")

# How long a read waits for a replica that has all that it needs, without a primary, in seconds.
WAIT_SECONDS = 1
# How long it waits for what may still be on its way to a replica, in seconds.
ON_ITS_WAY_SECONDS = 0.3

NEEDED_POSITIONS = Query(needed_positions())
RECORD_POSITIONS = Query(record_positions())


class Replication:
    """The primary and the replicas, as the processes of an event loop see them."""

    def __init__(self) -> None:
        self.replicas = [Replica(arguments) for arguments in replica_arguments()]
        self._in_turn = cycle(self.replicas)
        self.primary = Primary()
        self._needed = Batch(self._read_needed)
        self._recorded = Batch(self._record)

    async def needed(self, caller: int) -> Position | None:
        """Return what a caller needs a replica to have, if one will do. Raises PrimaryDown."""
        return (await self._needed.result([caller])).get(caller)

    async def record(self, callers: Iterable[int]) -> Position:
        """Record for callers where the log is now; return that. Raises psycopg.Error."""
        return await self._recorded.result(callers)

    async def _read_needed(self, callers: list[int]) -> dict[int, Position]:
        rows = await self.primary.ask(lambda: NEEDED_POSITIONS.all(callers=callers))
        return {row["caller"]: self.primary.seen(row) for row in rows}

    async def _record(self, callers: list[int]) -> Position:
        # A write was just committed, so there is a primary, whether it was noticed or not.
        while True:
            try:
                async with asyncio.timeout(settings.db.statement_timeout):
                    [row] = await RECORD_POSITIONS.all(callers=callers)
            except TimeoutError:
                raise PrimaryDown("the primary does not answer") from None
            if row["is_known"]:
                return self.primary.seen(row)
            await asyncio.sleep(RETRY_SECONDS)

    def next_replica(self) -> Replica | None:
        """Return one of the replicas that work, each in turn."""
        for _ in self.replicas:
            replica = next(self._in_turn)
            if not replica.problem:
                return replica
        return None

    async def read_without_primary(
        self, read: Callable[[Connection], Awaitable[T]], sent: Position | None
    ) -> T | None:
        """Read on a replica that has replayed all that it has received. Raises PrimaryDown.

        One that has started since a primary answered may have missed what another one wrote.
        Return None as soon as a primary answers again.
        """
        answered_at, needed = self.primary.answered_at, self.primary.newest.or_later(sent)
        if answered_at is None:
            raise PrimaryDown("no primary has answered yet")
        began = monotonic()
        while (waited := monotonic() - began) < WAIT_SECONDS:
            if not self.primary.is_down:
                return None
            if self.primary.is_missing() and (replica := self.next_replica()):
                try:
                    result = await replica.read(needed, read, running_since=answered_at)
                except psycopg.Error as error:
                    logger.debug("a replica cannot serve a read: %s", error)
                else:
                    if result is not None:
                        return result
            if waited > ON_ITS_WAY_SECONDS:
                needed = self._lower(needed)
            await asyncio.sleep(RETRY_SECONDS)
        raise PrimaryDown("no primary answers, and no replica has all that is needed")

    def _lower(self, needed: Position) -> Position:
        """Return what the furthest of the working replicas has, if that is less than is needed.

        Without a primary, reads need no more than that from now on: what no replica has received is
        lost with the primary, or comes back with it.
        """
        positions = [replica.position for replica in self.replicas if not replica.problem]
        positions = [position for position in positions if position.epoch == needed.epoch]
        furthest = min(needed, max(positions, default=needed))
        if self.primary.is_missing() and self.primary.newest.epoch == furthest.epoch:
            self.primary.newest = min(self.primary.newest, furthest)
        return furthest

    async def watch_replica(self, replica: Replica) -> None:
        """Ask a replica, until cancelled, to leave it out or to take it back."""
        while True:
            try:
                progress = await replica.probe.ask(read_progress)
                replica.position = progress.position
                problem = progress.find_problem(self.primary.floor)
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
        watching = map(replication.watch_replica, replication.replicas)
        watchers = [asyncio.create_task(each) for each in (replication.primary.watch(), *watching)]
        _replications[loop] = replication
        try:
            yield
        finally:
            del _replications[loop]
            for watcher in watchers:
                watcher.cancel()
            await asyncio.wait(watchers)

"""Replicas: hot standbys of the database, from which requests may read."""

import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import NamedTuple, TypeVar

import psycopg

from pamps.config import settings
from pamps.postgres.arguments import Arguments
from pamps.postgres.connection import Connection, Server
from pamps.postgres.pool import Pool
from pamps.postgres.probe import Probe

logger = logging.getLogger(__name__)

T = TypeVar("T")

# How long a request waits for a new connection to a replica before it reads elsewhere, in seconds.
CONNECT_SECONDS = 1
DEFAULT_ADDRESS = ("host", "localhost"), ("port", 5432)
# A replica that is further behind serves nobody: longer than a standby is behind at a checkpoint or
# a burst of writes, and short enough that nobody takes what they read for what is new.
MAX_LAG_SECONDS = 10
# What a replica has replayed and received of the log, and from which primary; for how many seconds
# it has run; and the process that tells it, as a pooler may give the connection to another one.
PROGRESS = """
SELECT (SELECT id FROM primary_epoch),
    CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::bigint END,
    coalesce((pg_last_wal_receive_lsn() - '0/0')::bigint, 0),
    extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8, pg_backend_pid()
"""


class Position(NamedTuple):
    """A position in the log of a primary. `epoch` is the one of models/write_position.py."""

    epoch: int
    lsn: int

    def is_reached_by(self, other: "Position") -> bool:
        return other.epoch == self.epoch and other.lsn >= self.lsn

    def or_later(self, other: "Position | None") -> "Position":
        """Return the later one of two positions; this one if the other is of another epoch."""
        return max(self, other) if other and other.epoch == self.epoch else self


class Progress(NamedTuple):
    """How far a server has followed a primary; `replayed` is None for one that is no standby."""

    epoch: int | None
    replayed: int | None
    received: int
    uptime: float
    process_id: int

    @property
    def position(self) -> Position:
        return Position(self.epoch or 0, self.replayed or 0)

    def find_problem(self, floor: Position | None) -> str | None:
        """Return why the server cannot serve reads, of which each needs `floor`, or None."""
        if self.replayed is None:
            return "it is not a standby"
        if floor is None:
            return "no primary has answered yet"
        if self.epoch != floor.epoch:
            return "it does not follow the primary"
        if self.replayed < floor.lsn:
            return f"it is more than {MAX_LAG_SECONDS} s behind"
        return None


async def read_progress(connection: Connection) -> Progress:
    """Ask a server how far it is. Raises psycopg.Error."""
    cursor = await connection.execute(PROGRESS)
    return Progress(*await cursor.fetchone())  # type: ignore[misc]


class Replica:
    """A replica, whose connections are one pool."""

    def __init__(self, arguments: Arguments) -> None:
        host, port = (arguments.get(name) or default for name, default in DEFAULT_ADDRESS)
        self.name = f"{host}:{port}"
        self.probe = Probe(arguments)
        self.pool = Pool(Server(arguments), settings.db.pool_size, CONNECT_SECONDS)
        # Why no request reads from it, or None if they do. Only `set_problem` changes it.
        self.problem: str | None = "it was not asked yet"
        # How far it was when it was last asked.
        self.position = Position(0, 0)
        self._in_use: set[Connection] = set()

    def set_problem(self, problem: str | None) -> None:
        """Leave the replica out because of a problem, or take it back."""
        if problem and not self.problem:
            logger.warning("the replica %s is left out: %s", self.name, problem)
        elif self.problem and not problem:
            logger.info("the replica %s serves reads", self.name)
        self.problem = problem

    def abort_reads(self) -> None:
        """End the connections of all reads in progress, which are then done elsewhere."""
        for connection in self._in_use:
            connection.abort()

    async def read(
        self,
        needed: Position,
        read: Callable[[Connection], Awaitable[T]],
        *,
        running_since: float | None = None,
    ) -> T | None:
        """Return what `read` returns, or None if the replica has not replayed what is needed.

        With `running_since`, on the clock `monotonic`, it must have run since then and have
        replayed all that it has received. Raises psycopg.Error.
        """
        connection = await self.pool.acquire()
        self._in_use.add(connection)
        try:
            if running_since is None and needed.is_reached_by(Position(*connection.replayed)):
                return await read(connection)
            # In one round trip, and in this order: what is read is not older than the answer.
            async with connection.pipeline():
                cursor = await connection.execute(PROGRESS)
                result = await read(connection)
            progress = Progress(*await cursor.fetchone())  # type: ignore[misc]
            if progress.process_id == connection.info.backend_pid:
                connection.replayed = progress.position
            is_enough = needed.is_reached_by(progress.position)
            if running_since is not None:
                is_enough &= progress.position.lsn >= progress.received
                # One that has started since may have missed a primary that was and is no more.
                is_enough &= progress.uptime > monotonic() - running_since
            return result if is_enough else None
        except psycopg.OperationalError as error:
            if connection.closed:
                self.set_problem(str(error))
            raise
        finally:
            self._in_use.discard(connection)
            await self.pool.release(connection)

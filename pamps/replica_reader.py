"""Reads of a request on a replica that has all that the caller has written."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg

from pamps.db import Query, Reader, Row
from pamps.observability.metrics import record_read
from pamps.postgres import pool
from pamps.postgres.connection import Connection
from pamps.postgres.replica import Position, Replica
from pamps.replication import PrimaryDown, Replication

T = TypeVar("T")


class ReplicaReader(Reader):
    """Runs the reads of one request on a replica, or on the primary if no replica is that far.

    `caller` stands for a caller who is not signed in. `sent` is the position that the request has
    in its header.
    """

    def __init__(self, replication: Replication, caller: int, sent: Position | None) -> None:
        self._replication = replication
        self._caller = caller
        self._sent = sent
        # What is needed, once that was looked up; None if it is not known.
        self._needed: Position | None = None
        self._is_known = False

    async def find_user(self, query: Query, query_on_replica: Query, **values: Any) -> Row | None:
        """Return the row of a query about the user who is calling, who is the caller from now on.

        `query` has what `with_needed_position` adds. Without a primary, `query_on_replica` runs on
        a replica; a user who is not there may still exist. Raises psycopg.Error.
        """
        try:
            row = await self._replication.ask_primary(lambda: query.first(**values))
        except PrimaryDown:
            if (row := await query_on_replica.first(self, **values)) is None:
                raise
            return row
        if row:
            self._is_known = True
            if row["position"] is not None:
                self._needed = self._replication.seen(row)
            del row["epoch"], row["position"]
        return row

    async def run(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        """Return what `read` returns. Raises psycopg.Error."""
        try:
            return await self._run(read)
        except PrimaryDown:
            record_read("replica")
            return await self._replication.read_without_primary(read, self._sent)

    async def _run(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        if not self._is_known:
            self._needed = await self._replication.needed(self._caller)
            self._is_known = True
        needed, replica = self._needed, self._replication.next_replica()
        if needed and replica:
            if self._sent and self._sent.epoch == needed.epoch:
                needed = max(needed, self._sent)
            if (result := await self._read_on(replica, needed, read)) is not None:
                return result
        record_read("primary")

        async def read_on_primary() -> T:
            connection = await pool.acquire()
            try:
                return await read(connection)
            finally:
                await pool.release(connection)

        return await self._replication.ask_primary(read_on_primary)

    @staticmethod
    async def _read_on(
        replica: Replica, needed: Position, read: Callable[[Connection], Awaitable[T]]
    ) -> T | None:
        """Read on a replica; return None if that fails or it is not that far."""
        try:
            result = await replica.read(needed, read)
        except psycopg.Error:
            return None  # such as a conflict with what it replays: the primary has none
        if result is not None:
            record_read("replica")
        return result

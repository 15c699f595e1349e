"""Reads of a request on a replica that has all that the caller has written."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg

from pamps.db import Query, Reader, Row
from pamps.observability.metrics import record_read
from pamps.postgres import pool
from pamps.postgres.connection import Connection
from pamps.postgres.replica import Position
from pamps.primary import PrimaryDown
from pamps.replication import Replication, current_replication

T = TypeVar("T")


class PrimaryReader(Reader):
    """Runs reads on the primary, and on a replica only while no primary answers."""

    # The position that the request has in its header.
    sent: Position | None = None

    def __init__(self, replication: Replication) -> None:
        self.replication = replication

    async def run(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        """Return what `read` returns. Raises psycopg.Error."""

        async def read_on_primary() -> T:
            connection = await pool.acquire()
            try:
                return await read(connection)
            finally:
                await pool.release(connection)

        while True:
            try:
                return await self.replication.primary.ask(read_on_primary)
            except PrimaryDown:
                result = await self.replication.read_without_primary(read, self.sent)
                if result is not None:
                    return result


def primary_reader() -> PrimaryReader | None:
    """Return a reader for what is not read for one caller, or None if there are no replicas."""
    replication = current_replication()
    return PrimaryReader(replication) if replication else None


class ReplicaReader(PrimaryReader):
    """Runs the reads of one request on a replica, or on the primary if no replica is that far.

    `caller` stands for a caller who is not signed in.
    """

    def __init__(self, replication: Replication, caller: int, sent: Position | None) -> None:
        super().__init__(replication)
        self.sent = sent
        self._caller = caller
        # What is needed, once that was looked up; None if it is not known.
        self._needed: Position | None = None
        self._is_known = False

    async def find_user(self, query: Query, query_on_replica: Query, **values: Any) -> Row | None:
        """Return the row of a query about the user who is calling, who is the caller from now on.

        `query` has what `with_needed_position` adds. Without a primary, `query_on_replica` runs on
        a replica; a user who is not there may still exist. Raises psycopg.Error.
        """
        try:
            row = await self.replication.primary.ask(lambda: query.first(**values))
        except PrimaryDown:
            if (row := await query_on_replica.first(self, **values)) is None:
                raise
            return row
        if row:
            self._is_known = True
            if row["position"] is not None:
                self._needed = self.replication.primary.seen(row)
            del row["epoch"], row["position"]
        return row

    async def run(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        """Return what `read` returns. Raises psycopg.Error."""
        needed, replica = await self._find_needed(), self.replication.next_replica()
        if needed and replica:
            try:
                result = await replica.read(needed, read)
            except psycopg.Error:
                result = None  # such as a conflict with what it replays: the primary has none
            if result is not None:
                record_read("replica")
                return result
        record_read("primary")
        return await super().run(read)

    async def _find_needed(self) -> Position | None:
        """Return what a replica needs to have, or None if none will do."""
        if not self._is_known:
            try:
                self._needed = await self.replication.needed(self._caller)
            except PrimaryDown:
                return None
            self._is_known = True
        return self._needed.or_later(self.sent) if self._needed else None

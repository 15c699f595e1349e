"""Connections of the API to PostgreSQL."""

import asyncio
import os
import select
import socket
from contextlib import suppress
from typing import Any, Self

import orjson
from psycopg import AsyncConnection, AsyncRawCursor, Error
from psycopg.conninfo import make_conninfo
from psycopg.types.datetime import TimestampBinaryLoader
from psycopg.types.json import set_json_loads
from psycopg.types.numeric import Int8BinaryDumper

from pamps.config import settings
from pamps.postgres import embedded
from pamps.postgres.arguments import Arguments, connect_arguments, prefer_host

# Statements that PostgreSQL keeps prepared for a connection: more than Pamps has.
MAX_PREPARED = 500


class Server:
    """Where connections lead: the database at `db.uri`, unless there are other arguments."""

    def __init__(self, arguments: Arguments | None = None) -> None:
        self._arguments = arguments
        # Host and port of the last successful connection, tried first: an address that does not
        # answer would delay each new connection by `db.connect_timeout` seconds.
        self._last_address: tuple[str, int] | None = None
        # The error of the last attempt to connect, if it failed.
        self.last_error: BaseException | None = None

    async def connect(self) -> "Connection":
        """Connect; start the embedded server if needed. Raises psycopg.Error, FolderError."""
        try:
            if not (settings.db.uri or self._arguments):
                await asyncio.to_thread(embedded.start)
            arguments = self._arguments or connect_arguments()
            if self._last_address:
                arguments = prefer_host(arguments, *self._last_address)
            connection = await Connection.connect_to(arguments)
        except Exception as error:
            self.last_error = error
            raise
        self.last_error = None
        self._last_address = connection.info.host, connection.info.port
        return connection


DATABASE = Server()


class Connection(AsyncConnection[tuple[object, ...]]):
    """A connection in autocommit mode, to the first address of a server that answers."""

    # Whether its server refused to write, as a standby does.
    is_read_only = False
    # Of a replica: the epoch and the position that it is known to have replayed.
    replayed = 0, 0
    _poll: select.poll

    @classmethod
    async def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """Connect to `options["server"]`, for psycopg's pool."""
        connection: Self = await options["server"].connect()
        return connection

    @classmethod
    async def connect_to(cls, arguments: Arguments) -> Self:
        """Connect by these parameters of libpq. Raises psycopg.Error."""
        connection = await super().connect(
            make_conninfo("", **arguments), autocommit=True, cursor_factory=AsyncRawCursor
        )
        connection._poll = select.poll()
        connection._poll.register(connection, select.POLLIN)
        connection.prepare_threshold = 0 if settings.db.prepared_statements else None
        connection.prepared_max = MAX_PREPARED
        # A statement is prepared once for each type of its parameters, so all integers are bigints.
        connection.adapters.register_dumper(int, Int8BinaryDumper)
        set_json_loads(orjson.loads, connection)
        # PostgreSQL sends times in UTC, whatever the time zone of the session.
        connection.adapters.register_loader("timestamptz", TimestampBinaryLoader)
        return connection

    def was_closed(self) -> bool:
        """Return whether the server has closed this connection while it was idle.

        The server sends an idle connection almost nothing else, so readable data means closed.
        """
        return bool(self._poll.poll(0))

    def abort(self) -> None:
        """End this connection at once: what waits for its server raises OperationalError."""
        # psycopg raises its own error for a connection that is closed.
        with (
            suppress(OSError, Error),
            socket.socket(fileno=os.dup(self.fileno())) as duplicate,
        ):
            duplicate.shutdown(socket.SHUT_RDWR)

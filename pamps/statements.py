"""Single statements without a session, for which the event loop itself waits.

Threads that wait for them cost as much as all the rest: see docs/decisions/0001-handlers.md.
"""

import asyncio
from contextlib import suppress
from typing import Any

import psycopg2
from anyio import CapacityLimiter, to_thread
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE
from sqlalchemy import Connection, Select, func, text
from sqlmodel import Session, UTCDateTime

from pamps import legacy as db
from pamps.config import settings
from pamps.loops import PerLoop
from pamps.postgres import connecting, embedded


def _begin_connecting() -> Any:
    if not settings.db.uri:
        embedded.start()
    _, arguments = db.engine.dialect.create_connect_args(db.engine.url)
    arguments = {**arguments, **db.CONNECT_ARGS}
    server = connecting.find_server(arguments)
    return psycopg2.connect(**{**arguments, **server}, async_=True)


async def _connect() -> Any:
    """A connection in psycopg2's asynchronous mode. Raises psycopg2.Error, EmbeddedError."""
    # In a thread, as libpq looks for the server's name before there is anything to wait for.
    driver = await to_thread.run_sync(_begin_connecting, limiter=CapacityLimiter(1))
    loop = asyncio.get_running_loop()
    try:
        # libpq itself leaves the time to whoever waits; 0 is no limit to it.
        async with asyncio.timeout(float(db.CONNECT_ARGS["connect_timeout"]) or None):
            while (state := driver.poll()) != POLL_OK:
                if state == POLL_READ:
                    listen, leave = loop.add_reader, loop.remove_reader
                else:
                    listen, leave = loop.add_writer, loop.remove_writer
                # Each time anew: where an address refuses, libpq goes on to the next.
                file, ready = driver.fileno(), asyncio.Event()
                listen(file, ready.set)
                try:
                    await ready.wait()
                finally:
                    leave(file)
    except BaseException as error:
        driver.close()
        if not connecting.is_full(error):
            connecting.forget_server()
        if isinstance(error, TimeoutError):
            raise psycopg2.OperationalError("timeout expired") from None
        raise
    return driver


class _Connection:
    """A connection that does one statement at a time, each a transaction of its own."""

    def __init__(self, driver: Any) -> None:
        self.closed = False
        self._driver, self._file = driver, driver.fileno()
        self._cursor = driver.cursor()
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] | None = None
        self._loop.add_reader(self._file, self._hear)

    def close(self) -> None:
        """Once only: the number of its file is then another's."""
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._file)
            self._loop.remove_writer(self._file)
            self._driver.close()

    async def fetch(self, sql: str, values: dict[str, Any]) -> list[Any]:
        self._done = self._loop.create_future()
        try:
            self._cursor.execute(sql, values)
            self._go_on(self._done)  # in case that not all of it was sent at once
            await self._done
            rows: list[Any] = self._cursor.fetchall()
            return rows
        except psycopg2.Error as error:
            db.hide_detail(error)
            raise
        finally:
            self._done = None
            if self._driver.closed or self._driver.isexecuting():
                self.close()

    def _hear(self) -> None:
        """The server has sent something, or is gone."""
        done = self._done
        if done is None:
            self.close()  # When nobody asked, it has hardly anything to say but goodbye.
            return
        # Twice: TLS may have taken in more than libpq takes from it, and says so no more.
        for _ in range(2):
            self._go_on(done)
        if not done.done():
            # Anew: uvloop forgets a file with an error, and there was something to read before it.
            self._loop.remove_reader(self._file)
            self._loop.add_reader(self._file, self._hear)

    def _go_on(self, done: asyncio.Future[None]) -> None:
        """Sends and takes what it can without waiting."""
        if done.done():
            return
        try:
            state = self._driver.poll()
        except Exception as error:
            if self._driver.closed:
                self.close()  # now, as libpq has closed its file
            done.set_exception(error)
            return
        if state == POLL_OK:
            done.set_result(None)
        elif state == POLL_WRITE:
            self._loop.add_writer(self._file, self._send_on, done)

    def _send_on(self, done: asyncio.Future[None]) -> None:
        self._loop.remove_writer(self._file)
        self._go_on(done)


class _Pool:
    """As many connections as statements may run at a time, each made when it is first needed."""

    def __init__(self, size: int) -> None:
        self.places = CapacityLimiter(size)
        self._size = size
        self._idle: list[_Connection] = []
        self._loop = asyncio.get_running_loop()
        connecting.close_idle.append(self._close_from_threads)

    async def fetch(self, sql: str, values: dict[str, Any]) -> list[Any]:
        async with self.places:
            return await self.fetch_at_once(sql, values)

    async def fetch_at_once(self, sql: str, values: dict[str, Any]) -> list[Any]:
        """Run a statement without waiting for others, for the health check alone."""
        db.be_in_time()
        connection = await self._take()
        try:
            db.be_in_time()  # A new connection may have taken too long.
            return await connection.fetch(sql, values)
        finally:
            if connecting.are_scarce() or len(self._idle) >= self._size:
                connection.close()
            elif not connection.closed:
                self._idle.append(connection)

    async def _take(self) -> _Connection:
        """A connection, which PostgreSQL may have to get back from somebody else first."""
        while True:
            while self._idle:
                connection = self._idle.pop()
                if not connection.closed:
                    return connection
            try:
                return _Connection(await _connect())
            except psycopg2.OperationalError as error:
                if not connecting.is_full(error):
                    raise
            await asyncio.sleep(connecting.PAUSE_SECONDS)
            db.be_in_time()

    def _close_from_threads(self) -> None:
        with suppress(RuntimeError):  # of a loop that has ended
            self._loop.call_soon_threadsafe(self._close_idle)

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        connecting.close_idle.remove(self._close_from_threads)
        self._close_idle()


pools = PerLoop(lambda: _Pool(settings.db.pool_size), _Pool.close)


def _in_utc(column: Any) -> Any:
    """A time as PostgreSQL has it, whatever zone the server thinks it is in."""
    is_time = isinstance(column.type, UTCDateTime)
    return func.timezone(text("'UTC'"), column).label(column.key) if is_time else column


def _fields(names: list[str]) -> dict[str, Any]:
    """Where each is in a row of such columns; "user.id", "user.name" … are together a "user"."""
    fields: dict[str, Any] = {}
    for index, name in enumerate(names):
        field, _, inner = name.partition(".")
        if inner:
            fields.setdefault(field, {})[inner] = index
        else:
            fields[field] = index
    return fields


def _as_object(row: Any, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: row[at] if isinstance(at, int) else _as_object(row, at) for name, at in fields.items()
    }


class Statement:
    """A statement that is built and compiled once, as that costs more than to run it.

    Each `bindparam` in it is an argument. It gives its rows as JSON has them; their times are in
    UTC, and do not say so.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        columns = map(_in_utc, statement.selected_columns)
        statement = statement.with_only_columns(*columns, maintain_column_froms=True)
        compiled = statement.compile(db.engine)
        self.sql = str(compiled)
        # What is no argument. An argument that is left out is an error, and not null.
        self.values = {name: value for name, value in compiled.params.items() if value is not None}
        self._fields = _fields(statement.selected_columns.keys())

    async def fetch(self, **values: Any) -> list[dict[str, Any]]:
        """Runs it, as part of the request's `transaction` if there is one.

        Raises psycopg2.Error, DBAPIError, EmbeddedError and TooLate.
        """
        if outer := db.transaction.get():
            db.be_in_time()
            return await to_thread.run_sync(self._run, outer, values)
        rows = await pools.get().fetch(self.sql, values | self.values)
        return [_as_object(row, self._fields) for row in rows]

    def read(self, session: Session, **values: Any) -> list[dict[str, Any]]:
        """Runs it as part of what a session does."""
        return self._run(session.connection(), values)

    def _run(self, connection: Connection, values: dict[str, Any]) -> list[dict[str, Any]]:
        rows = connection.exec_driver_sql(self.sql, values | self.values)
        return [_as_object(row, self._fields) for row in rows]

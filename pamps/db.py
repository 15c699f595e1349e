"""The database: queries and transactions for the API; the engine and sessions for all else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import psycopg
import psycopg2
from anyio import CapacityLimiter, to_thread
from psycopg2.extensions import connection, make_dsn
from sqlalchemy import URL, Dialect, Engine, ExceptionContext, Select, UpdateBase, event
from sqlalchemy.dialects.postgresql import psycopg as dialects
from sqlalchemy.pool import PoolProxiedConnection
from sqlmodel import Session, create_engine

from pamps.config import settings
from pamps.folder import FOLDER
from pamps.loops import PerLoop
from pamps.postgres import embedded, pool
from pamps.postgres.arguments import connect_arguments, location
from pamps.postgres.pool import Connection

Row = dict[str, Any]
Statement = Select[*tuple[Any, ...]] | UpdateBase

DIALECT: Dialect = dialects.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


def hide_detail(error: BaseException) -> None:
    """Remove PostgreSQL's DETAIL from an error, which will be logged.

    It may be a whole row, with the hash of a password.
    """
    error.args = tuple(str(word).split("\nDETAIL:")[0] for word in error.args)


class Transaction:
    """A transaction that has begun, for queries to run in."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def connection(self) -> Connection:
        """Return the connection of this transaction."""
        return self._connection


@asynccontextmanager
async def transaction(outer: Transaction | None = None) -> AsyncIterator[Transaction]:
    """Begin a transaction; commit it at the end, or undo it if there is an exception.

    Within an `outer` transaction it is a savepoint. Raises psycopg.Error and FolderError.
    """
    if outer:
        async with (await outer.connection()).transaction():
            yield outer
        return
    connection = await pool.acquire()
    try:
        async with connection.transaction():
            yield Transaction(connection)
    finally:
        await pool.release(connection)


class Query:
    """A statement that is compiled once and run often, as compiling costs more than running.

    It may read or write. Each `bindparam` without a value in it is a parameter, which has to be
    given by its name. Columns labelled "user.id", "user.name" … are together a dict `user` in each
    row. Times are in UTC, without a time zone.

    Its methods run it in a transaction, or else as a transaction of its own. They raise TypeError
    for a missing or an unknown parameter, psycopg.Error, and FolderError.
    """

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        compiled = statement.compile(dialect=DIALECT)
        self._sql = str(compiled).encode()
        self._order: list[str] = compiled.positiontup or []
        binds = {name: compiled.binds[name] for name in self._order}
        self._constants = {name: bind.value for name, bind in binds.items() if not bind.required}
        self._parameters = binds.keys() - self._constants.keys()
        self._mapper: _RowMapper | None = None

    async def all(self, transaction: Transaction | None = None, /, **parameters: Any) -> list[Row]:
        """Return all rows."""
        rows, _ = await self._run(transaction, parameters)
        return rows

    async def first(
        self, transaction: Transaction | None = None, /, **parameters: Any
    ) -> Row | None:
        """Return the first row, or None if there is none."""
        rows, _ = await self._run(transaction, parameters)
        return rows[0] if rows else None

    async def execute(self, transaction: Transaction | None = None, /, **parameters: Any) -> int:
        """Return how many rows were written, or read."""
        _, count = await self._run(transaction, parameters)
        return count

    async def _run(
        self, transaction: Transaction | None, parameters: dict[str, Any]
    ) -> tuple[list[Row], int]:
        if parameters.keys() != self._parameters:
            wanted, given = sorted(self._parameters), sorted(parameters)
            raise TypeError(f"the parameters of this query are {wanted}, and not {given}")
        parameters |= self._constants
        values = [parameters[name] for name in self._order]
        if transaction:
            return await self._run_on(await transaction.connection(), values)
        connection = await pool.acquire()
        try:
            return await self._run_on(connection, values)
        finally:
            await pool.release(connection)

    async def _run_on(self, connection: Connection, values: list[Any]) -> tuple[list[Row], int]:
        cursor = connection.cursor(binary=True)
        try:
            await cursor.execute(self._sql, values)
        except psycopg.Error as error:
            hide_detail(error)
            raise
        if self._mapper is None:
            # Of a statement that returns no rows, it has no columns.
            self._mapper = _RowMapper([column.name for column in cursor.description or ()])
        rows = await cursor.fetchall() if self._mapper.names else []
        return self._mapper.map(rows), cursor.rowcount


class _RowMapper:
    """How rows become dicts."""

    def __init__(self, columns: list[str]) -> None:
        self.names = list(dict.fromkeys(name.partition(".")[0] for name in columns))
        # Of each dict in a row: where its columns begin and end, and their names.
        self._inner: list[tuple[int, int, list[str]]] = []
        for index, name in enumerate(self.names):
            parts = [
                column.partition(".")[2] for column in columns if column.startswith(f"{name}.")
            ]
            if parts:
                self._inner.append((index, index + len(parts), parts))

    def map(self, rows: list[tuple[object, ...]]) -> list[Row]:
        for start, end, names in self._inner:
            rows = [
                (*row[:start], dict(zip(names, row[start:end], strict=True)), *row[end:])
                for row in rows
            ]
        return [dict(zip(self.names, row, strict=True)) for row in rows]


def database_url() -> URL:
    """Return the database's address for SQLAlchemy, whichever way `db.uri` writes it."""
    place = location()
    return URL.create(
        "postgresql+psycopg2",
        place.pop("user", None),
        place.pop("password", None),
        database=place.pop("dbname", None),
        query=place,  # the host too, as there may be several
    )


# For the command line, Alembic, and routes in the workshop's style.
engine = create_engine(
    database_url(),
    echo=settings.db.echo,
    hide_parameters=True,  # they hold passwords, and errors are logged
    pool_pre_ping=True,
    pool_timeout=settings.db.connect_timeout,
)


def describe_database() -> str:
    """Describe which database it is, without the user and the password."""
    if not settings.db.uri:
        return f"the database in {FOLDER}"
    place = location()
    return f"the database {place.get('dbname')} on {place.get('host', 'this machine')}"


@event.listens_for(engine, "do_connect")
def _connect(*_: object) -> connection:
    if not settings.db.uri:
        embedded.start()
    return psycopg2.connect(make_dsn("", **connect_arguments()))


def psycopg2_connection(pooled: PoolProxiedConnection) -> connection:
    """Return the driver's connection, for what SQLAlchemy's cannot do."""
    assert isinstance(pooled.driver_connection, connection)  # nosec B101
    return pooled.driver_connection


@event.listens_for(Engine, "handle_error")
def _hide_details(context: ExceptionContext) -> None:
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None:
            hide_detail(error)


# One more session than that would wait for a thread while it holds a connection that those who have
# the threads wait for.
MAX_SESSIONS = 5
_session_limiter = PerLoop(lambda: CapacityLimiter(MAX_SESSIONS))


async def get_session() -> AsyncIterator[Session]:
    """Give a request a session. What is not committed at its end is undone."""
    async with _session_limiter.get():
        session = Session(engine)
        end = session.close
        try:
            yield session
        except asyncio.CancelledError:
            # The thread of the handler goes on, so its connection must not be used again.
            end = session.invalidate
            raise
        finally:
            await to_thread.run_sync(end)


if TYPE_CHECKING:
    ActiveSession = Annotated[Session, "a dependency"]


def __getattr__(name: str) -> Any:
    """Make `ActiveSession` when it is first imported: the command line needs no FastAPI."""
    if name != "ActiveSession":
        raise AttributeError(name)
    from fastapi import Depends

    # Closed before the response is sent.
    return globals().setdefault(name, Annotated[Session, Depends(get_session, scope="function")])

"""The database: queries and transactions for the API; the engine and sessions for all else."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import psycopg
import psycopg2
from anyio import CapacityLimiter, to_thread
from psycopg2.extensions import connection, make_dsn
from sqlalchemy import URL, Dialect, Engine, ExceptionContext, Select, UpdateBase, event
from sqlalchemy.dialects.postgresql import psycopg as dialects
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql import visitors
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import Session, create_engine

from pamps.config import settings
from pamps.folder import FOLDER
from pamps.loops import PerLoop
from pamps.postgres import embedded, pool
from pamps.postgres.arguments import connect_arguments, location
from pamps.postgres.connection import Connection
from pamps.rows import Row as Row, RowMapper

Statement = Select[*tuple[Any, ...]] | UpdateBase

T = TypeVar("T")

DIALECT: Dialect = dialects.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


def hide_detail(error: BaseException) -> None:
    """Remove PostgreSQL's DETAIL from an error, which will be logged.

    DETAIL may contain a whole row, with the hash of a password.
    """
    error.args = tuple(str(word).split("\nDETAIL:")[0] for word in error.args)


class Transaction:
    """A transaction that has begun, for queries to run in."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.after_commit: list[Callable[[], None]] = []  # what is called once it is committed

    async def connection(self) -> Connection:
        """Return the connection of this transaction."""
        return self._connection


@asynccontextmanager
async def transaction(outer: Transaction | None = None) -> AsyncIterator[Transaction]:
    """Begin a transaction; commit it at the end, or roll it back after an exception.

    Within an `outer` transaction it is a savepoint. Raises psycopg.Error and FolderError.
    """
    if outer:
        async with (await outer.connection()).transaction():
            yield outer
        return
    connection, calls = await pool.acquire(), []
    try:
        async with connection.transaction():
            yield (begun := Transaction(connection))
            calls = begun.after_commit  # not reached if psycopg.Rollback was raised
    finally:
        await pool.release(connection)
    for call in calls:
        call()


def _only_reads(statement: Statement) -> bool:
    """Tell whether a replica can run a statement: it stores nothing and locks nothing."""
    return not any(
        isinstance(part, UpdateBase)
        or (isinstance(part, Select) and part._for_update_arg is not None)
        or (isinstance(part, FunctionElement) and "advisory" in str(getattr(part, "name", "")))
        for part in visitors.iterate(statement)
    )


class Reader(ABC):
    """Chooses where the reads of a request go: to a replica, or to the database itself."""

    @abstractmethod
    async def run(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        """Return what `read` returns on a connection. Raises psycopg.Error."""


Source = Transaction | Reader


class Query:
    """A statement that is compiled once and run often, as compiling costs more than running.

    Pass a value for each `bindparam` that has none, as a keyword argument. Pass a transaction to
    run in it; without one, the statement commits by itself. Pass a reader to a query that answers a
    request: if it only reads, a replica may run it. Columns labelled "user.id", "user.name" …
    become a dict `user` in each row. Times are in UTC, without a time zone.

    The methods raise TypeError for a missing or an unknown parameter, psycopg.Error, FolderError.
    """

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        compiled = statement.compile(dialect=DIALECT)
        self._sql = str(compiled).encode()
        self._order: list[str] = compiled.positiontup or []
        binds = {name: compiled.binds[name] for name in self._order}
        self._constants = {name: bind.value for name, bind in binds.items() if not bind.required}
        self._parameters = binds.keys() - self._constants.keys()
        self._only_reads = _only_reads(statement)
        self._returns_rows = bool(len(statement.exported_columns))
        self._mapper: RowMapper | None = None

    async def all(self, source: Source | None = None, /, **values: Any) -> list[Row]:
        """Return all rows."""
        rows, _ = await self._run(source, values)
        return rows

    async def first(self, source: Source | None = None, /, **values: Any) -> Row | None:
        """Return the first row, or None if there is none."""
        rows, _ = await self._run(source, values)
        return rows[0] if rows else None

    async def execute(self, source: Source | None = None, /, **values: Any) -> int:
        """Return how many rows were written, or read."""
        _, count = await self._run(source, values)
        return count

    async def _run(self, source: Source | None, values: dict[str, Any]) -> tuple[list[Row], int]:
        if values.keys() != self._parameters:
            expected, given = sorted(self._parameters), sorted(values)
            raise TypeError(f"the parameters of this query are {expected}, not {given}")
        values |= self._constants
        parameters = [values[name] for name in self._order]
        if isinstance(source, Transaction):
            return await self._run_on(await source.connection(), parameters)
        if source and self._only_reads:
            return await source.run(lambda connection: self._run_on(connection, parameters))
        connection = await pool.acquire()
        try:
            return await self._run_on(connection, parameters)
        finally:
            await pool.release(connection)

    async def _run_on(self, connection: Connection, parameters: list[Any]) -> tuple[list[Row], int]:
        cursor = connection.cursor(binary=True)
        try:
            await cursor.execute(self._sql, parameters)
            rows = await cursor.fetchall() if self._returns_rows else []
        except psycopg.Error as error:
            hide_detail(error)
            connection.is_read_only = isinstance(error, psycopg.errors.ReadOnlySqlTransaction)
            raise
        if self._mapper is None:
            # `description` is None for a statement that returns no rows.
            self._mapper = RowMapper([column.name for column in cursor.description or ()])
        return self._mapper.map(rows), cursor.rowcount


def database_url() -> URL:
    """Return the database's URL for SQLAlchemy. All accepted URL schemes use psycopg2 here."""
    parameters = location()
    return URL.create(
        "postgresql+psycopg2",
        parameters.pop("user", None),
        parameters.pop("password", None),
        database=parameters.pop("dbname", None),
        query=parameters,  # with the host, as there may be several
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
    """Return which database is used, without the user and the password."""
    if not settings.db.uri:
        return f"the database in {FOLDER}"
    parameters = location()
    return f"the database {parameters.get('dbname')} on {parameters.get('host', 'this machine')}"


@event.listens_for(engine, "do_connect")
def _connect(*_: object) -> connection:
    if not settings.db.uri:
        embedded.start()
    return psycopg2.connect(make_dsn("", **connect_arguments()))


def psycopg2_connection(pooled: PoolProxiedConnection) -> connection:
    """Return psycopg2's connection, for what SQLAlchemy's connection cannot do."""
    assert isinstance(pooled.driver_connection, connection)  # nosec B101
    return pooled.driver_connection


@event.listens_for(Engine, "handle_error")
def _handle_error(context: ExceptionContext) -> None:
    if isinstance(context.original_exception, psycopg2.errors.ReadOnlySqlTransaction):
        context.is_disconnect = True  # another server is the primary now: connect again
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None:
            hide_detail(error)


# As many as the connections that the engine keeps. With many more sessions, handlers could wait for
# a connection in all threads, while sessions that have one wait for a thread to be closed.
MAX_SESSIONS = 5
_session_limiter = PerLoop(lambda: CapacityLimiter(MAX_SESSIONS))


async def get_session() -> AsyncIterator[Session]:
    """Give a request a session; roll back at its end what was not committed."""
    async with _session_limiter.get():
        session = Session(engine)
        end = session.close
        try:
            yield session
        except asyncio.CancelledError:
            # The handler's thread continues, so its connection must not be used again.
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

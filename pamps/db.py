"""The database: its address, the engines, sessions, statements."""

import math
import select
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Annotated, Any

import psycopg2
from anyio import CapacityLimiter, to_thread
from fastapi import Depends
from psycopg2.extensions import cursor as Cursor
from sqlalchemy import URL, Connection, Engine, Select, event, func, make_url, text, update
from sqlalchemy.exc import DisconnectionError
from sqlmodel import Session, UTCDateTime, create_engine

from pamps import embedded
from pamps.config import settings


def database_url() -> URL:
    """Where the database is. Every spelling of PostgreSQL's address means psycopg2."""
    url = make_url(settings.db.uri) if settings.db.uri else embedded.ADDRESS
    return url.set(drivername="postgresql+psycopg2")


# Half of the threads at most wait for what a session does, such as to hash a password.
SESSIONS = (settings.db.pool_size + 1) // 2
# A server that is gone without a word, its machine too, is noticed in about ten seconds.
KEEPALIVE = {
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


# A connection that was not in use for so long may be closed without anybody having seen it.
IDLE_SECONDS = 1


def _engine(pool_size: int, **options: Any) -> Engine:
    connect_args = {"connect_timeout": settings.db.connect_timeout, "application_name": "pamps"}
    return create_engine(
        database_url(),
        echo=settings.db.echo,
        hide_parameters=True,  # they hold passwords, and errors go to the log
        connect_args=connect_args | KEEPALIVE | settings.db.connect_args,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=settings.db.connect_timeout,
        **options,
    )


engine = _engine(SESSIONS)
# For statements that need no session. These connections are for a thread to take and give back, and
# not those of sessions: a session may keep its own while it waits for a thread. One more is for the
# question whether the database is there.
direct = _engine(settings.db.pool_size + 1, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)


def _be_alive(connection: Any, record: Any, _: Any) -> None:
    """Has a connection replaced that the server has closed while nobody used it.

    Else the first request that gets it would be refused. An idle one hardly hears of anything else.
    """
    now = time.monotonic()
    # Not each time: to ask the system lets another thread run, and a request then waits for it.
    was_idle = now - record.info.get("used", now) > IDLE_SECONDS
    record.info["used"] = now
    if not was_idle:
        return
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    if poll.poll(0):
        raise DisconnectionError


for pool in (engine, direct):
    event.listen(pool, "checkout", _be_alive)

# When the request's answer is too late, by time.monotonic().
deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)
# What all that a request does is part of; else each session, and each single statement, is alone.
transaction: ContextVar[Connection | None] = ContextVar("transaction", default=None)


class TooLate(Exception):
    """Whoever asked has been told to try again, and nothing is begun for them any more."""


def be_in_time() -> None:
    """Raises TooLate if nobody waits any more."""
    if time.monotonic() > deadline.get():
        raise TooLate


def _hide_detail(error: BaseException) -> None:
    """PostgreSQL's DETAIL may be a whole row, hash of the password included; errors are logged."""
    error.args = tuple(str(word).split("\nDETAIL:")[0] for word in error.args)


@contextmanager
def autocommit() -> Iterator[Cursor]:
    """A cursor whose every statement is a transaction of its own, but in an outer `transaction`.

    It is psycopg2's, as SQLAlchemy's costs as much as all the rest that a request does with it.
    Raises psycopg2.Error, and TooLate.
    """
    be_in_time()
    outer = transaction.get()
    connection = outer.connection if outer else direct.pool.connect()
    driver: Any = connection.driver_connection
    try:
        with driver.cursor() as cursor:
            yield cursor
    except psycopg2.Error as error:
        _hide_detail(error)
        raise
    finally:
        if driver.closed:
            direct.dispose()  # the others have lost the server too
        if not outer:
            connection.close()


@event.listens_for(Engine, "handle_error")
def _hide_details(context: Any) -> None:
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None:
            _hide_detail(error)


if not settings.db.uri:

    @event.listens_for(Engine, "do_connect")
    def _start_embedded(*_: Any) -> None:
        embedded.start()


# No more sessions at a time than there are connections: else requests that hold one could wait for
# a thread while those that hold the threads wait for a connection.
sessions = CapacityLimiter(SESSIONS)


async def end(finish: Callable[..., Any]) -> None:
    """Ends a transaction, in a thread that nobody else waits for: it lets go of locks that all
    others may want."""
    await to_thread.run_sync(finish, limiter=CapacityLimiter(1))


async def get_session() -> AsyncIterator[Session]:
    """A session for one request. What is not committed by its end is undone. Raises TooLate."""
    outer = transaction.get()
    async with nullcontext() if outer else sessions:
        be_in_time()
        session = Session(
            outer or engine, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )
        try:
            yield session
        finally:
            if session.in_transaction():
                await end(session.close)


# Closed before the answer leaves.
ActiveSession = Annotated[Session, Depends(get_session, scope="function")]


def _in_utc(column: Any) -> Any:
    """A time as PostgreSQL has it, whatever zone the server thinks it is in."""
    is_time = isinstance(column.type, UTCDateTime)
    return func.timezone(text("'UTC'"), column).label(column.key) if is_time else column


def _as_objects(names: list[str]) -> Callable[[list[Any]], list[dict[str, Any]]]:
    """Makes rows with those columns objects; "user.id", "user.name" … are together a "user".

    By code that is made for the columns, as `namedtuple` does: a quarter of what `zip` takes.
    """
    fields: dict[str, str] = {}
    for index, name in enumerate(names):
        field, _, inner = name.partition(".")
        value = f"row[{index}]"
        fields[field] = fields.get(field, "") + f"{inner!r}: {value}, " if inner else value
    values = (f"{{{value}}}" if ":" in value else value for value in fields.values())
    items = ", ".join(f"{field!r}: {value}" for field, value in zip(fields, values, strict=True))
    objects: Callable[[list[Any]], list[dict[str, Any]]]
    objects = eval(f"lambda rows: [{{{items}}} for row in rows]")  # nosec B307
    return objects


class Statement:
    """A statement that is built and compiled once, as that costs more than to run it.

    Each `bindparam` in it is an argument of `run` and `read`. Times are in UTC, and do not say so.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        columns = map(_in_utc, statement.selected_columns)
        statement = statement.with_only_columns(*columns, maintain_column_froms=True)
        compiled = statement.compile(engine)
        self.sql = str(compiled)
        # What is no argument. An argument that is left out is an error, and not null.
        self.values = {name: value for name, value in compiled.params.items() if value is not None}
        self._as_objects = _as_objects(statement.selected_columns.keys())

    def run(self, db: Session | Cursor, **values: Any) -> list[Any]:
        """The rows; `db` is a session, or what `autocommit` gives."""
        values |= self.values
        if isinstance(db, Session):
            return list(db.connection().exec_driver_sql(self.sql, values))
        db.execute(self.sql, values)
        return db.fetchall()

    def read(self, db: Session | Cursor, **values: Any) -> list[dict[str, Any]]:
        """The rows as JSON has them."""
        return self._as_objects(self.run(db, **values))


def change_counter(session: Session, counter: Any, row_id: int, amount: int) -> None:
    """Adds to a counter of the row with that id, if there is one."""
    table = counter.class_
    statement = update(table).where(table.id == row_id).values({counter: counter + amount})
    session.exec(statement.execution_options(synchronize_session=False))

"""The database: its address, the engine, sessions."""

import math
import re
import select
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, TypeVar

import psycopg2
from anyio import CapacityLimiter, to_thread
from sqlalchemy import URL, Connection, Engine, event, func, update
from sqlalchemy.exc import DisconnectionError
from sqlmodel import Session, create_engine

from pamps.config import settings
from pamps.folder import FOLDER
from pamps.loops import PerLoop
from pamps.postgres import address, connecting, embedded

P = ParamSpec("P")
T = TypeVar("T")


def database_url() -> URL:
    """Where the database is. Every spelling of PostgreSQL's address means psycopg2."""
    driver = "postgresql+psycopg2"
    if not settings.db.uri:
        return embedded.ADDRESS.set(drivername=driver)
    parts = address.parse(settings.db.uri)
    user, password = parts.pop("user", None), parts.pop("password", None)
    url = URL.create(driver, user, password, database=parts.pop("dbname", None))
    if re.fullmatch("[^/,][^,]*", parts.get("host", "")) and parts.get("port", "1"):
        url = url.set(host=parts.pop("host"), port=int(parts.pop("port", 0)) or None)
    return url.set(query=parts)


def description() -> str:
    """Which database it is, without the user and the password."""
    if not settings.db.uri:
        return f"the database in {FOLDER}"
    host = engine.url.host or engine.url.query.get("host") or "this machine"
    return f"the database {engine.url.database} on {host}"


# Each session takes a thread whenever it is used; single statements take none.
SESSIONS = (settings.db.pool_size + 1) // 2
CONNECT_ARGS: dict[str, Any] = {
    "connect_timeout": settings.db.connect_timeout,
    "application_name": "pamps",
    # A server that is gone without a word, its machine too, is noticed in about ten seconds.
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    **settings.db.connect_args,
    # Whatever PGCLIENTENCODING, the role or the database says: no other holds all text.
    "client_encoding": "UTF8",
}

engine = create_engine(
    database_url(),
    echo=settings.db.echo,
    hide_parameters=True,  # they hold passwords, and errors go to the log
    connect_args=CONNECT_ARGS,
    pool_size=SESSIONS + 1,  # one for the question whether the database is there
    max_overflow=0,
    pool_timeout=settings.db.connect_timeout,
)


@event.listens_for(engine, "checkout")
def _be_alive(connection: Any, *_: Any) -> None:
    """Has a connection replaced that the server has closed while nobody used it.

    Else the first request that gets it would be refused. An idle one hardly hears of anything else.
    """
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    if poll.poll(0):
        raise DisconnectionError


# When the request's answer is too late, by time.monotonic().
deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)
# What all that a request does is part of; else each session, and each single statement, is alone.
transaction: ContextVar[Connection | None] = ContextVar("transaction", default=None)
# What a request that waits for something else than the database does meanwhile with its
# transaction: it ends it, and begins another afterwards.
without_connection: ContextVar[Callable[[], AbstractAsyncContextManager[None]]] = ContextVar(
    "without_connection", default=nullcontext
)


class TooLate(Exception):
    """Whoever asked has been told to try again, and nothing is begun for them any more."""


def be_in_time() -> None:
    """Raises TooLate if nobody waits any more."""
    if time.monotonic() > deadline.get():
        raise TooLate


def hide_detail(error: BaseException) -> None:
    """PostgreSQL's DETAIL may be a whole row, hash of the password included; errors are logged."""
    error.args = tuple(str(word).split("\nDETAIL:")[0] for word in error.args)


@event.listens_for(Engine, "handle_error")
def _hide_details(context: Any) -> None:
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None:
            hide_detail(error)


@event.listens_for(engine, "do_connect")
def _connect(_dialect: Any, _record: Any, _: Any, arguments: dict[str, Any]) -> Any:
    """Connect; while a request waits, until there is a connection. Raises TooLate."""
    if not settings.db.uri:
        embedded.start()
    while True:
        try:
            return connecting.connect(arguments)
        except psycopg2.OperationalError as error:
            if math.isinf(deadline.get()) or not connecting.is_full(error):
                raise
        time.sleep(connecting.PAUSE_SECONDS)
        be_in_time()


@event.listens_for(engine, "checkin")
def _close_if_scarce(_: Any, record: Any) -> None:
    if connecting.are_scarce():
        record.invalidate()


connecting.close_idle.append(engine.dispose)


# No more at a time than there are threads and connections: else requests that have one could wait
# for a thread, while those that have the threads wait for a connection, or for a row of theirs.
sessions = PerLoop(lambda: CapacityLimiter(SESSIONS))


async def get_session() -> AsyncIterator[Session]:
    """A session for one request. What is not committed by its end is undone. Raises TooLate."""
    outer = transaction.get()
    async with nullcontext() if outer else sessions.get():
        be_in_time()
        session = Session(
            outer or engine, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )
        try:
            yield session
        finally:
            if session.in_transaction():
                await to_thread.run_sync(session.close)


if TYPE_CHECKING:
    ActiveSession = Annotated[Session, "a dependency"]


def __getattr__(name: str) -> Any:
    """Make `ActiveSession` when it is first imported: the command line has no need for FastAPI."""
    if name != "ActiveSession":
        raise AttributeError(name)
    from fastapi import Depends

    # Closed before the answer leaves.
    return globals().setdefault(name, Annotated[Session, Depends(get_session, scope="function")])


async def in_session(
    work: Callable[Concatenate[Session, P], T], *args: P.args, **options: P.kwargs
) -> T:
    """Run `work` in a thread with a session that ends with it.

    For a request that has other things to wait for before or afterwards. Raises TooLate.
    """
    async with asynccontextmanager(get_session)() as session:
        return await to_thread.run_sync(partial(work, session, *args, **options))


def change_counter(session: Session, counter: Any, row_id: int, amount: int) -> None:
    """Adds to a counter of the row with that id, if there is one.

    A counter that was too small stops at 0, which the database would refuse to go below; `pamps
    recount` puts it right.
    """
    table = counter.class_
    changed = func.greatest(counter + amount, 0)
    statement = update(table).where(table.id == row_id).values({counter: changed})
    session.exec(statement.execution_options(synchronize_session=False))

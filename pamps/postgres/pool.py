"""The API's connections to PostgreSQL: one pool for each process that serves."""

import asyncio
import logging
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import orjson
import psycopg
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.types.datetime import TimestampBinaryLoader
from psycopg.types.json import set_json_loads
from psycopg.types.numeric import Int8BinaryDumper
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from pamps.config import settings
from pamps.postgres import embedded
from pamps.postgres.arguments import MULTI_HOST_PARAMETERS, connect_arguments, prefer_host

logger = logging.getLogger(__name__)

# How long the pool waits before it tries again to connect, in seconds.
RETRY_SECONDS = 0.05
# Statements that PostgreSQL keeps prepared for a connection: more than Pamps has.
MAX_PREPARED = 500
# The smallest limit that the role, the database or the server puts on connections, and the pid of
# the backend: a different pid than the connection's means that a pooler is in between.
CONNECTION_LIMIT = """
SELECT least(nullif(rolconnlimit, -1), nullif(datconnlimit, -1),
    current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int), pg_backend_pid()
FROM pg_roles, pg_database WHERE rolname = session_user AND datname = current_database()
"""


class Connection(AsyncConnection[tuple[object, ...]]):
    """A connection in autocommit mode, to the first address of the database that answers."""

    # Host and port of the last successful connection, tried first: an address that does not answer
    # would delay each new connection by `db.connect_timeout` seconds.
    last_address: tuple[str, int] | None = None
    # The error of the last attempt to connect, if it failed.
    last_error: BaseException | None = None
    _poll: select.poll

    @classmethod
    async def connect(cls, *_: object, **options: Any) -> Self:
        """Connect; start the embedded server if needed. Raises psycopg.Error, FolderError."""
        try:
            if not settings.db.uri:
                await asyncio.to_thread(embedded.start)
            arguments = connect_arguments()
            if Connection.last_address:
                arguments = prefer_host(arguments, *Connection.last_address)
            connection = await super().connect(
                make_conninfo("", **arguments), autocommit=True, cursor_factory=AsyncRawCursor
            )
        except Exception as error:
            Connection.last_error = error
            raise
        Connection.last_error = None
        connection._poll = select.poll()
        connection._poll.register(connection, select.POLLIN)
        Connection.last_address = connection.info.host, connection.info.port
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


class Pool(AsyncConnectionPool[Connection]):
    """psycopg's pool behind a semaphore, a tenth of the cost of the pool's own queue."""

    def __init__(self, size: int, timeout: float) -> None:
        self._slots = asyncio.Semaphore(size)
        self.requests_waiting = 0
        super().__init__(
            connection_class=Connection,
            min_size=0,
            max_size=size,
            timeout=timeout,
            configure=_shrink_to_connection_limit,
            reconnect_timeout=0,  # report a failure at once; `_schedule_reconnect` tries again
            reconnect_failed=_schedule_reconnect,
            open=False,
        )

    async def acquire(self) -> Connection:
        """Return a connection that the server has not closed. Raises psycopg.OperationalError."""
        self.requests_waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.requests_waiting -= 1
        try:
            connection = await self.getconn()
            while connection.was_closed():
                await connection.close()
                await self.putconn(connection)
                connection = await self.getconn()
        except BaseException as error:
            self._slots.release()
            if isinstance(error, PoolTimeout) and (cause := Connection.last_error):
                raise psycopg.OperationalError(str(cause)) from cause
            raise
        return connection

    async def release(self, connection: Connection) -> None:
        is_idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
        returned = self.putconn(connection)
        try:
            # Only a connection that has to be reset takes time. A cancellation meanwhile must not
            # interrupt that, or the pool loses a slot; a shield costs as much as all else here.
            await (returned if is_idle else asyncio.shield(returned))
        finally:
            self._slots.release()


# The pool of each event loop that serves: a server has one loop, tests may have several.
_pools: dict[asyncio.AbstractEventLoop, Pool] = {}


async def _shrink_to_connection_limit(connection: Connection) -> None:
    """Shrink the pool if PostgreSQL allows fewer connections than all workers would make."""
    pool = _pools[asyncio.get_running_loop()]
    workers = settings.server.workers
    if pool.max_size != settings.db.pool_size or pool.get_stats()["pool_size"] > 1:
        return
    cursor = await connection.execute(CONNECTION_LIMIT)
    limit, process_id = await cursor.fetchone() or (None, None)
    if not isinstance(limit, int) or process_id != connection.info.backend_pid:
        return
    if limit < workers * pool.max_size:
        size = max(1, limit // workers)
        await pool.resize(0, size)
        pool.timeout = settings.server.request_timeout
        logger.warning(
            "PostgreSQL allows %d connections: each of %d workers uses %d instead of %d, and"
            " requests wait. Set a smaller db.pool_size or fewer workers, or allow more",
            *(limit, workers, size, settings.db.pool_size),
        )


async def _schedule_reconnect(pool: AsyncConnectionPool[Any]) -> None:
    """Make the pool connect again while requests wait for a connection."""
    await asyncio.sleep(RETRY_SECONDS)
    if pool.get_stats()["requests_waiting"]:
        await pool.check()


@asynccontextmanager
async def open_pool() -> AsyncIterator[Pool]:
    """Open the pool of the running event loop, and close it at the end.

    Connections are made when requests need them. While PostgreSQL does not answer, a request waits
    for up to `db.connect_timeout` seconds for each of its addresses.
    """
    arguments = connect_arguments()
    addresses = max(str(arguments.get(name)).count(",") + 1 for name in MULTI_HOST_PARAMETERS)
    loop = asyncio.get_running_loop()
    pool = Pool(settings.db.pool_size, settings.db.connect_timeout * addresses)
    # The pool would log each attempt; requests that fail log the reason.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    async with pool:
        _pools[loop] = pool
        try:
            yield pool
        finally:
            del _pools[loop]


async def acquire() -> Connection:
    """Return a connection, to be released after use. Raises psycopg.OperationalError.

    Without a pool in this event loop, as with `TestClient(app)` without `with`, it is a new one.
    """
    pool = _pools.get(asyncio.get_running_loop())
    return await (pool.acquire() if pool else Connection.connect())


async def release(connection: Connection) -> None:
    pool = _pools.get(asyncio.get_running_loop())
    await (pool.release(connection) if pool else connection.close())

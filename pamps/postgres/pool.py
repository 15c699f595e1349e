"""The API's connections to PostgreSQL: one pool for each process that serves."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from pamps.config import settings
from pamps.postgres.arguments import connect_arguments, count_addresses
from pamps.postgres.connection import DATABASE, Connection, Server

logger = logging.getLogger(__name__)

# How long the pool waits before it tries again to connect, in seconds.
RETRY_SECONDS = 0.05
# How often all connections are closed at most, as the only server may stay a standby, in seconds.
DRAIN_SECONDS = 1
# The smallest limit that the role, the database or the server puts on connections, and the pid of
# the backend: a different pid than the connection's means that a pooler is in between.
CONNECTION_LIMIT = """
SELECT least(nullif(rolconnlimit, -1), nullif(datconnlimit, -1),
    current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int), pg_backend_pid()
FROM pg_roles, pg_database WHERE rolname = session_user AND datname = current_database()
"""


class Pool(AsyncConnectionPool[Connection]):
    """psycopg's pool behind a semaphore, a tenth of the cost of the pool's own queue."""

    def __init__(self, server: Server, size: int, timeout: float) -> None:
        self._server = server
        self._slots = asyncio.Semaphore(size)
        self._next_drain = 0.0
        self.requests_waiting = 0
        super().__init__(
            connection_class=Connection,
            kwargs={"server": server},
            min_size=0,
            max_size=size,
            timeout=timeout,
            configure=self._shrink_to_connection_limit,
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
            if isinstance(error, PoolTimeout) and (cause := self._server.last_error):
                raise psycopg.OperationalError(str(cause)) from cause
            raise
        return connection

    async def release(self, connection: Connection) -> None:
        is_idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
        is_idle &= not connection.is_read_only
        returned = self.putconn(connection) if is_idle else self._put_back(connection)
        try:
            # Only a connection that has to be reset takes time. A cancellation meanwhile must not
            # interrupt that, or the pool loses a slot; a shield costs as much as all else here.
            await (returned if is_idle else asyncio.shield(returned))
        finally:
            self._slots.release()

    async def _put_back(self, connection: Connection) -> None:
        """Put a connection back; close it, and all others, if its server is now a standby."""
        if connection.is_read_only:
            await connection.close()
            if monotonic() > self._next_drain:
                self._next_drain = monotonic() + DRAIN_SECONDS
                await self.drain()
        await self.putconn(connection)

    async def _shrink_to_connection_limit(self, connection: Connection) -> None:
        """Shrink the pool if PostgreSQL allows fewer connections than all workers would make."""
        workers = settings.server.workers
        if self.max_size != settings.db.pool_size or self.get_stats()["pool_size"] > 1:
            return
        cursor = await connection.execute(CONNECTION_LIMIT)
        limit, process_id = await cursor.fetchone() or (None, None)
        if not isinstance(limit, int) or process_id != connection.info.backend_pid:
            return
        if limit < workers * self.max_size:
            size = max(1, limit // workers)
            await self.resize(0, size)
            self.timeout = settings.server.request_timeout
            logger.warning(
                "PostgreSQL allows %d connections: each of %d workers uses %d instead of %d, and"
                " requests wait. Set a smaller db.pool_size or fewer workers, or allow more",
                *(limit, workers, size, settings.db.pool_size),
            )


# The pool of each event loop that serves: a server has one loop, tests may have several.
_pools: dict[asyncio.AbstractEventLoop, Pool] = {}


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
    addresses = count_addresses(connect_arguments())
    loop = asyncio.get_running_loop()
    pool = Pool(DATABASE, settings.db.pool_size, settings.db.connect_timeout * addresses)
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
    return await (pool.acquire() if pool else DATABASE.connect())


async def release(connection: Connection) -> None:
    pool = _pools.get(asyncio.get_running_loop())
    await (pool.release(connection) if pool else connection.close())

"""Connect to PostgreSQL: to an address that answers, and with no more connections than it allows.

libpq tries one address after the other, each for `connect_timeout`. One that does not answer at all
would cost that for every connection, and an asynchronous connection would never get past it. So
where it happened, the address that did answer is remembered.
"""

import logging
import math
import re
import socket
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2

from pamps.config import settings

logger = logging.getLogger(__name__)

# PostgreSQL and PgBouncer have no more connections. At this point psycopg2 knows no error codes.
FULL = re.compile("too many (connections|clients)|connection slots|no more connections")
# How long connections are not kept after PostgreSQL had no more.
SCARCE_SECONDS = 60
# How long to wait for a connection of somebody else, before the next try.
PAUSE_SECONDS = 0.02
# The least of the limits of the role, the database and the server.
ALLOWED = """
SELECT least(nullif(rolconnlimit, -1), nullif(datconnlimit, -1),
    current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int), pg_backend_pid()
FROM pg_roles, pg_database WHERE rolname = session_user AND datname = current_database()
"""

# Which address to use: None before it is known, and {} for whichever libpq finds.
_server: dict[str, Any] | None = None
_scarce_until = -math.inf
# What closes the connections that a pool keeps.
close_idle: list[Callable[[], None]] = []


def is_full(error: BaseException) -> bool:
    """Say whether PostgreSQL refused a connection because it has too many."""
    if not isinstance(error, psycopg2.OperationalError) or not FULL.search(str(error)):
        return False
    _be_scarce(time.monotonic() + SCARCE_SECONDS)
    for close in close_idle:
        close()
    return True


def are_scarce() -> bool:
    """Say whether connections should be closed after use, as others wait for them."""
    return time.monotonic() < _scarce_until


def _be_scarce(until: float) -> None:
    global _scarce_until
    if not are_scarce():
        logger.warning(
            "PostgreSQL allows fewer connections than all workers want: requests wait for them. "
            "A smaller db.pool_size, or fewer workers, want fewer"
        )
    _scarce_until = max(_scarce_until, until)


def connect(arguments: dict[str, Any]) -> Any:
    """Connect as libpq does, from one address to the next. Raises psycopg2.Error."""
    global _server
    if _server:
        try:
            return psycopg2.connect(**arguments | _server)
        except psycopg2.OperationalError as error:
            if is_full(error):
                raise
            _server = None
    is_first, started = _server is None, time.monotonic()
    connection = psycopg2.connect(**arguments)
    was_silent = time.monotonic() - started >= float(arguments["connect_timeout"] or math.inf)
    _server = _address(connection) if was_silent else {}
    if is_first:
        _compare_limits(connection)
    return connection


def find_server(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what to connect to, found out by a first connection. Raises psycopg2.Error."""
    if _server is None:
        connect(arguments).close()
    return _server or {}


def forget_server() -> None:
    """Find the server anew for the next connection, as it has not answered."""
    global _server
    _server = None


def _address(connection: Any) -> dict[str, Any]:
    """Where a connection leads. With the name too, by which TLS knows the server."""
    found = {"host": connection.info.host, "port": connection.info.port}
    with socket.socket(fileno=connection.fileno()) as end:
        if end.family != socket.AF_UNIX:
            found["hostaddr"] = socket.getnameinfo(end.getpeername(), socket.NI_NUMERICHOST)[0]
        end.detach()  # it is libpq's
    return found


def _compare_limits(connection: Any) -> None:
    """See whether there can be as many connections as all workers want."""
    pool_size = settings.db.pool_size
    # Those of the pool and of sessions, and for each two questions of the health check.
    wanted = settings.server.workers * (pool_size + (pool_size + 1) // 2 + 2)
    with closing(connection.cursor()) as cursor:
        cursor.execute(ALLOWED)
        allowed, process_id = cursor.fetchone()
    connection.rollback()
    # Of a PgBouncer's process this is not the id: it shares few connections among many by itself.
    if allowed < wanted and process_id == connection.info.backend_pid:
        _be_scarce(math.inf)

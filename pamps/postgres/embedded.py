"""The embedded PostgreSQL: started when it is first needed, stopped by its last user.

In `db.embedded_dir`, a process that starts or stops the server locks `start.lock`, and all that use
it share a lock of `users.lock`; a process that can lock that exclusively is the last one. The
kernel releases the locks of a killed process, so none is ever stale.
"""

import atexit
import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from typing import IO

from pamps.folder import FOLDER, FolderError, lock, make_folder, open_file
from pamps.postgres.cluster import (
    SOCKET,
    ensure_private_folder,
    is_running,
    run_as_owner,
    start_server,
)

_thread_lock = threading.Lock()
_users_lock: IO[bytes] | None = None


def start() -> None:
    """Start the server if need be, and count this process as a user. Raises FolderError."""
    global _users_lock
    # Variables of libpq, such as PGPORT and PGSERVICE, are about other servers.
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    with _start_lock():
        ensure_private_folder(SOCKET)
        if _users_lock is None:
            _users_lock = open_file(FOLDER / "users.lock")
            atexit.register(stop)
        lock(_users_lock, fcntl.LOCK_SH)
        if not is_running():
            start_server()


def stop() -> None:
    """Count this process as a user no longer, and stop the server if there is no other."""
    global _users_lock
    if _users_lock is None:
        return
    # Errors of a server that did not start have been raised by then.
    with _start_lock(), _users_lock, contextlib.suppress(OSError, FolderError):
        lock(_users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_running():
            run_as_owner("pg_ctl", "stop", "--mode=fast")
        SOCKET.rmdir()
    _users_lock = None


@contextlib.contextmanager
def _start_lock() -> Iterator[None]:
    """Keep other processes and threads from starting or stopping the server."""
    with _thread_lock:
        try:
            make_folder()
            with open_file(FOLDER / "start.lock") as file:
                lock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise FolderError(f"db.embedded_dir: {error.strerror}: {error.filename}") from error

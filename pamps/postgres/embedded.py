"""The embedded PostgreSQL: started when it is first needed, stopped by the last process to use it.

In `db.embedded_dir`, a process locks `start.lock` while it starts or stops the server. Processes
that use the server share a lock of `users.lock`; one that can lock it exclusively is the last. The
kernel releases the locks of a killed process, so no lock is ever stale.
"""

import atexit
import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from typing import IO

from pamps.folder import FOLDER, FolderError, lock, make_folder, open_file
from pamps.postgres import cluster

_thread_lock = threading.Lock()
_users_lock: IO[bytes] | None = None


def start() -> None:
    """Start the server if needed, and register this process as its user. Raises FolderError."""
    global _users_lock
    # Variables of libpq, such as PGPORT and PGSERVICE, are meant for other servers.
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    with _start_lock():
        cluster.ensure_private_folder(cluster.SOCKET)
        if _users_lock is None:
            _users_lock = open_file(FOLDER / "users.lock")
            atexit.register(stop)
        lock(_users_lock, fcntl.LOCK_SH)
        if not cluster.is_running():
            cluster.start_server()


def stop() -> None:
    """Unregister this process as a user, and stop the server if there is no other."""
    global _users_lock
    if _users_lock is None:
        return
    # If the server did not start, `start` has raised the error.
    with _start_lock(), _users_lock, contextlib.suppress(OSError, FolderError):
        lock(_users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if cluster.is_running():
            cluster.run_as_owner("pg_ctl", "stop", "--mode=fast")
        cluster.SOCKET.rmdir()
    _users_lock = None


@contextlib.contextmanager
def _start_lock() -> Iterator[None]:
    """Prevent other processes and threads from starting or stopping the server."""
    with _thread_lock:
        try:
            make_folder()
            with open_file(FOLDER / "start.lock") as file:
                lock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise FolderError(f"db.embedded_dir: {error.strerror}: {error.filename}") from error

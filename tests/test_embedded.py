"""The PostgreSQL that comes along: shared by processes, back after a kill, and never left over."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

CONNECT = """
import sys, psycopg2
from pamps import embedded
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


def kill_server(folder: Path) -> None:
    """Kills the server, and returns when it is dead."""
    pid = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    while is_running(folder):
        pass


def is_running(folder: Path) -> bool:
    try:
        psycopg2.connect(host=str(folder / "socket"), user="postgres", dbname="pamps").close()
    except psycopg2.OperationalError:
        return False
    return True


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

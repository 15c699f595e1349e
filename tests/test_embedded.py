"""The PostgreSQL that comes along: shared by processes, back after a kill, and never left over."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg2

from tests.clusters import (
    CONNECT,
    assert_refused,
    environment,
    processes,
    start,
    user,
    write,
)
from tests.servers import is_running, kill_server


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

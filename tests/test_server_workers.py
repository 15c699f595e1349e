"""The workers of `pamps serve` and their parent: who starts, replaces and ends whom, and when."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import httpx
import pytest

from tests.databases import PAMPS
from tests.servers import embedded, is_running, served

# Runs a program as a new window of a terminal does: closing it ends what runs in it. The suite
# itself may run under nohup, whose children ignore SIGHUP.
IN_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def database(other_database: str) -> dict[str, str]:
    return {"PAMPS_DB__uri": other_database}


def workers(log: list[str]) -> list[int]:
    """The processes of all workers that have started so far."""
    return [int(n) for line in log for n in re.findall(r"Started server process \[(\d+)\]", line)]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline


def test_the_signal_to_reload_replaces_a_single_worker(database):
    """And no request is lost."""
    log: list[str] = []
    with served(database, log=log) as (process, client):
        assert client.get("/health/live").status_code == 200
        (before,) = workers(log)
        process.send_signal(signal.SIGHUP)
        ended = f"Finished server process [{before}]"
        while not any(ended in line for line in log):
            assert client.get("/health/live").status_code == 200
        assert client.get("/health/live").status_code == 200
        assert len(workers(log)) == 2
        process.terminate()
    assert process.returncode == 0


def test_workers_that_end_before_their_parent_are_not_replaced(database):
    """Ctrl-C is for all of them, and the parent may be the last to notice."""
    log: list[str] = []
    with served(database, "--workers", "2", log=log) as (process, client):
        assert client.get("/health/live").status_code == 200
        wait_for(lambda: len(workers(log)) == 2)
        process.send_signal(signal.SIGSTOP)
        os.killpg(process.pid, signal.SIGINT)
        wait_for(lambda: sum("Finished server process" in line for line in log) == 2)
        process.send_signal(signal.SIGCONT)
    assert process.returncode == 0
    assert not any("starting another" in line for line in log)


def test_closing_the_terminal_ends_all_in_order(folder):
    ours, theirs = os.openpty()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, PAMPS, "serve", "--port", str(port)],
        env=os.environ | embedded(folder) | {"PAMPS_ENV": "development"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        try:
            os.close(theirs)
            log = b""
            while b"Application startup complete" not in log:
                log += os.read(ours, 65536)
            assert httpx.get(f"http://127.0.0.1:{port}/post/").status_code == 200
            os.close(ours)
            assert process.wait(timeout=30) == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
    assert not is_running(folder)


def test_a_worker_that_does_not_answer_has_time(database):
    """And does not keep another from being replaced, or the whole from ending."""
    log: list[str] = []
    with served(database, "--workers", "2", log=log) as (process, client):
        serving = lambda: sum("Application startup complete" in line for line in log)  # noqa: E731
        wait_for(lambda: serving() == 2)
        frozen, killed = sorted(workers(log))
        os.kill(frozen, signal.SIGSTOP)
        try:
            os.kill(killed, signal.SIGKILL)
            wait_for(lambda: serving() == 3)
        finally:
            os.kill(frozen, signal.SIGCONT)
        assert client.get("/post/").status_code == 200
        process.terminate()
    assert process.returncode == 0
    assert any(f"Finished server process [{frozen}]" in line for line in log)


def test_a_limit_of_files_that_cannot_be_raised(database, tmp_path):
    """As on macOS, whose limit is lower than the one that it tells."""
    refuse = "import resource\ndef setrlimit(*_): raise ValueError\nresource.setrlimit = setrlimit"
    (tmp_path / "sitecustomize.py").write_text(refuse)
    with served(database | {"PYTHONPATH": str(tmp_path)}) as (process, client):
        assert client.get("/post/").status_code == 200
        process.terminate()
    assert process.returncode == 0


@pytest.mark.parametrize("number", ["1", "2"])
def test_the_address_of_all(database, capfd, number):
    """`::` is every address, and one of IPv4 stays one."""
    log: list[str] = []
    database["PAMPS_SERVER__trusted_proxies"] = '["127.0.0.1"]'
    callers = [("127.0.0.1", "192.0.2.1", "192.0.2.1")]
    # Many containers have no address of IPv6.
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        callers.append(("[::1]", "192.0.2.2", "::1"))
    with served(database, "--workers", number, "--host", "::", log=log) as (process, client):
        port = client.base_url.port
        assert capfd.readouterr().out.startswith(f"Pamps: http://[::]:{port}, ")
        for address, said, seen in callers:
            headers = {"X-Forwarded-For": said}
            answer = httpx.get(f"http://{address}:{port}/post/", headers=headers)
            assert answer.status_code == 200
            id_ = answer.headers["x-request-id"]
            wait_for(lambda n=id_: any(n in line for line in log))
            assert any(id_ in line and f"address='{seen}'" in line for line in log)
        process.terminate()


def test_idle_connections_are_kept_as_long_as_the_setting_says(database):
    from pamps.config import settings

    assert settings.server.keep_alive == 75
    with (
        served(database | {"PAMPS_SERVER__keep_alive": "1"}) as (process, client),
        socket.create_connection((client.base_url.host, client.base_url.port), 20) as connection,
    ):
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: pamps\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        process.terminate()

"""Metrics, as Prometheus gets them from `pamps serve`."""

import contextlib
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import httpx
import psycopg2
import pytest
from sqlalchemy import make_url

from tests import canary
from tests.databases import execute
from tests.helpers import assert_one_red_line
from tests.servers import pamps, run, served

USER = {"email": "ana@pamps.com", "username": "ana", "password": canary.password("ana")}
COUNTED = "pamps_http_requests_total"
IN_PROGRESS = "pamps_http_requests_in_progress"


@pytest.fixture
def port() -> int:
    """One that is free."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.fixture
def settings(port: int, other_database: str, tmp_path: Path) -> dict[str, str]:
    return {
        "PAMPS_METRICS__port": str(port),
        "PAMPS_DB__uri": other_database,
        "PAMPS_DB__lock_timeout": "60",
        "PAMPS_RATE_LIMIT__requests": "100000/minute",
        "TMPDIR": str(tmp_path),
    }


def scrape(port: int) -> dict[str, float]:
    """The numbers by name and labels, as they are written."""
    response = httpx.get(f"http://127.0.0.1:{port}/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    return {name: float(number) for name, _, number in (line.rpartition(" ") for line in lines)}


def requests(method: str, route: str, status: int) -> str:
    return f'{COUNTED}{{method="{method}",route="{route}",status="{status}"}}'


def soon(port: int, name: str, number: float) -> dict[str, float]:
    """Waits until a number is that."""
    deadline = time.monotonic() + 20
    while (numbers := scrape(port)).get(name) != number:
        assert time.monotonic() < deadline, (name, number, numbers)
        time.sleep(0.05)
    return numbers


def send(client: httpx.Client, request: str) -> socket.socket:
    """Sends what may not be answered soon."""
    connection = socket.create_connection((client.base_url.host, client.base_url.port))
    connection.sendall(request.encode())
    return connection


# In progress until its connection is closed, as the rest of its body does not come.
HALF = "POST /post/ HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{"
WHOLE = "GET /post/ HTTP/1.1\r\nHost: x\r\n\r\n"


def processes(log: list[str], number: int) -> list[int]:
    """Waits until so many workers have started, and gives them all."""
    deadline = time.monotonic() + 60
    while sum("Application startup complete" in line for line in log) < number:
        assert time.monotonic() < deadline
    return [int(n) for line in log for n in re.findall(r"Started server process \[(\d+)\]", line)]


def is_open(connection: socket.socket) -> bool:
    """Whether nobody has ended a connection on which no answer is expected yet."""
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_numbers_of_all_workers(settings, port, tmp_path):
    log: list[str] = []
    with served(settings, "--workers", "2", log=log) as (process, client):
        (folder,) = tmp_path.glob("pamps-metrics-*")
        url, victim = f"{client.base_url}/post/", processes(log, 2)[0]
        # A connection is with one worker, and each gets some of many.
        many = 40
        assert [httpx.get(url).status_code for _ in range(many)] == [200] * many
        # A request is counted when its response has been sent.
        numbers = soon(port, requests("GET", "/post/", 200), many)
        timed = 'pamps_http_request_duration_seconds_{}{{{}method="GET",route="/post/"}}'
        assert numbers[timed.format("count", "")] == many
        assert numbers[timed.format("bucket", 'le="+Inf",')] == many
        assert 0 < numbers[timed.format("sum", "")] < many

        with contextlib.ExitStack() as halves:
            sent = [halves.enter_context(send(client, HALF)) for _ in range(many)]
            soon(port, IN_PROGRESS, many)
            os.kill(victim, signal.SIGKILL)
            processes(log, 3)
            # What was in progress there is no more, and what was counted there still is, in a file
            # of all that are dead.
            left = sum(map(is_open, sent))
            assert 0 < left < many
            numbers = soon(port, IN_PROGRESS, left)
            assert numbers[requests("GET", "/post/", 200)] == many
            assert numbers[timed.format("count", "")] == many
            assert list(folder.glob(f"*_{victim}.db")) == []
        soon(port, IN_PROGRESS, 0)
        # The one in its place counts too.
        assert [httpx.get(url).status_code for _ in range(many)] == [200] * many
        soon(port, requests("GET", "/post/", 200), 2 * many)
        assert client.get("/metrics").status_code == 404
        process.terminate()
    assert process.returncode == 0
    assert not folder.exists()


def test_what_is_counted(settings, port, tmp_path):
    """By a single worker, which is the process that Prometheus asks, too."""
    settings |= {"PAMPS_CORS__allow_origins": '["http://a.b"]'}
    with served(settings, "--workers", "1") as (process, client):
        (folder,) = tmp_path.glob("pamps-metrics-*")
        assert client.post("/user/", json=USER).status_code == 201
        assert client.post("/token", data=USER).status_code == 200
        wrong = {"username": "bia", "password": canary.WORD}
        statuses = [client.post("/token", data=wrong).status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]
        assert client.get("/user/me/", headers={"Authorization": "Bearer x"}).status_code == 401
        assert client.get("/user/ana").status_code == client.head("/user/ana/").status_code == 200
        assert client.get("/user/bia/").status_code == 404
        assert client.get("/nowhere/").status_code == 404
        assert client.delete("/user/").status_code == 405
        assert client.request("PROPFIND", "/user/").status_code == 405
        assert client.post("/post/", content=b"x" * 70_000).status_code == 413
        asked = {"Origin": "http://a.b", "Access-Control-Request-Method": "GET"}
        assert client.options("/post/", headers=asked).status_code == 200
        dsn = settings["PAMPS_DB__uri"].replace("postgresql+psycopg2:", "postgresql:")
        database = make_url(dsn)
        execute(database, 'UPDATE "user" SET disabled = true')
        assert client.post("/token", data=USER).status_code == 403
        execute(database, 'ALTER TABLE "user" RENAME COLUMN bio TO oib')
        assert client.get("/user/").status_code == 503
        numbers = scrape(port)
        assert {name: n for name, n in numbers.items() if name.startswith(COUNTED)} == {
            requests("POST", "/user/", 201): 1,
            requests("POST", "/token", 200): 1,
            requests("POST", "/token", 401): 5,
            requests("POST", "/token", 429): 1,
            requests("POST", "/token", 403): 1,
            requests("GET", "/user/me/", 401): 1,
            requests("GET", "/user/{username}/", 200): 1,
            requests("HEAD", "/user/{username}/", 200): 1,
            requests("GET", "/user/{username}/", 404): 1,
            requests("GET", "none", 404): 1,
            requests("DELETE", "/user/", 405): 1,
            requests("other", "/user/", 405): 1,
            requests("POST", "none", 413): 1,
            requests("OPTIONS", "none", 200): 1,
            requests("GET", "/user/", 503): 1,
        }
        outcomes = {"succeeded": 1, "failed": 5, "disabled": 1, "throttled": 1}
        for outcome, number in outcomes.items():
            assert numbers[f'pamps_sign_ins_total{{outcome="{outcome}"}}'] == number

        # While somebody holds a lock, so many have a connection, and the others wait.
        with contextlib.ExitStack() as stack:
            holder = stack.enter_context(contextlib.closing(psycopg2.connect(dsn)))
            holder.cursor().execute("LOCK TABLE post")
            for _ in range(11):
                stack.enter_context(send(client, WHOLE))
            numbers = soon(port, "pamps_requests_waiting", 3)
            assert numbers["pamps_database_connections_in_use"] == 8
            assert numbers[IN_PROGRESS] == 11
        soon(port, "pamps_database_connections_in_use", 0)
        process.terminate()
    assert process.returncode == 0
    assert not folder.exists()


def test_requests_over_the_limit_are_counted(settings, port):
    settings |= {"PAMPS_RATE_LIMIT__requests": "2/minute"}
    with served(settings, "--workers", "1") as (process, client):
        assert [client.get("/post/").status_code for _ in range(4)] == [200, 200, 429, 429]
        assert scrape(port)[requests("GET", "none", 429)] == 2
        process.terminate()


def test_off_by_default(settings, port, tmp_path):
    del settings["PAMPS_METRICS__port"]
    with served(settings, "--workers", "1") as (process, client):
        assert client.get("/post/").status_code == 200
        with pytest.raises(httpx.ConnectError):
            scrape(port)
        assert list(tmp_path.glob("pamps-*")) == []
        process.terminate()
    done = run([sys.executable, "-c", "import pamps.app, sys; print(*sys.modules)"])
    assert "pamps.app" in done.stdout.split()
    assert "prometheus_client" not in done.stdout.split()


def test_a_port_that_is_taken(settings, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings["PAMPS_METRICS__port"] = port = str(taken.getsockname()[1])
        done = pamps("serve", **settings)
    assert_one_red_line(done, f"cannot listen on 127.0.0.1, port {port}: Address already in use")
    assert list(tmp_path.glob("pamps-*")) == []


def test_one_port_for_both(settings, port):
    done = pamps("serve", "--port", port, **settings)
    assert_one_red_line(done, f"cannot listen on 127.0.0.1, port {port}: Address already in use")

"""Pamps as a process, with a database or clients that keep it waiting: an answer, and in time."""

import contextlib
import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import make_url

from tests import databases
from tests.databases import execute, locked
from tests.helpers import USER
from tests.servers import Relay, served, signed_in

USERS = 'SELECT * FROM "user" ORDER BY id FOR UPDATE'


def refused_for_now(answer: httpx.Response) -> str:
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    return answer.json()["detail"]


def test_timeouts_of_the_database(other_database):
    """They are the database's own, and so hold for whatever connection there is to it."""
    settings = {"DB__lock_timeout": "60", "DB__statement_timeout": "1"}
    with signed_in(other_database, **settings) as client:
        names = "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"
        found = [execute(make_url(other_database), f"SHOW {name}")[0][0] for name in names]
        assert found == ["1s", "1min", "10s"]
        with locked(other_database, USERS):
            for answer in (
                client.post("/post/", json={"text": "hello"}),
                client.patch("/user/me/", json={"bio": "hello"}),
            ):
                assert "database cannot serve" in refused_for_now(answer)
        assert client.post("/post/", json={"text": "hello"}).status_code == 201


def test_a_request_that_takes_too_long(other_database):
    """Nothing of it is stored, and the service goes on."""
    settings = {"DB__lock_timeout": "60", "DB__statement_timeout": "60"}
    settings |= {"DB__pool_size": "1", "SERVER__request_timeout": "1", "SERVER__max_requests": "2"}
    with signed_in(other_database, **settings) as client:
        write = lambda n: client.post("/post/", json={"text": f"{n}"})  # noqa: E731
        with locked(other_database, USERS), ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(write, range(8)))
            details = sorted({refused_for_now(answer) for answer in answers})
            assert details == [
                "The request took too long, try again",
                "The service is overloaded, try again",
            ]
            assert client.get("/health/live").json() == {"status": "ok"}
            assert client.get("/health/ready").json() == {"status": "ok"}
        deadline = time.monotonic() + 10
        while client.get("/post/").status_code == 503:
            assert time.monotonic() < deadline
        assert client.get("/post/").json() == []


def test_a_deadlock_is_not_the_client_s_to_solve(other_database):
    with signed_in(other_database) as client, ThreadPoolExecutor(1) as pool:
        bob = USER | {"email": "bob@pamps.com", "username": "bob"}
        bob_id = client.post("/user/", json=bob).json()["id"]
        with locked(
            other_database, f'SELECT * FROM "user" WHERE id = {bob_id} FOR UPDATE'
        ) as other:
            following = pool.submit(client.post, f"/user/follow/{bob_id}")
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            while execute(make_url(other_database), waiting) == [(0,)]:
                pass
            # It waits for bob and has ana; this waits for ana and has bob.
            other.execute(USERS)
        assert following.result().status_code == 201
        assert client.get("/user/bob/").json()["follower_count"] == 1


HEAD = b"POST /post/ HTTP/1.1\r\nHost: pamps\r\n"
SLOW = {
    "nothing": (b"", None),
    "half a head": (HEAD, "408 Request Timeout"),
    "blank lines": (b"\r\n", None),
    "half a body": (HEAD + b"Content-Length: 10\r\n\r\n{", "408 Request Timeout"),
    "a large header": (HEAD + b"x: " + b"x" * 40_000, "431 Request Header Fields Too Large"),
    "a large head": (
        HEAD + b"x: " + b"x" * 40_000 + b"\r\n\r\n",
        "431 Request Header Fields Too Large",
    ),
}


def test_slow_clients(other_database):
    """They are told, and hung up on; a request that is whole is served all the same."""
    # One place is enough: who has not sent all takes none.
    settings = {"SERVER__receive_timeout": "1", "SERVER__max_requests": "1"}
    with signed_in(other_database, **settings) as client:
        address = client.base_url.host, client.base_url.port
        with contextlib.ExitStack() as stack:
            sockets = {}
            for name, (sent, _) in SLOW.items():
                sockets[name] = stack.enter_context(socket.create_connection(address, timeout=10))
                sockets[name].sendall(sent)
            assert client.get("/post/").status_code == 200
            for name, (_, status) in SLOW.items():
                answer = b"".join(iter(lambda name=name: sockets[name].recv(4096), b""))
                head, _, body = answer.decode().partition("\r\n\r\n")
                if status is None:
                    assert answer == b"", name
                else:
                    assert head.startswith(f"HTTP/1.1 {status}\r\n"), name
                    assert json.loads(body) == {"detail": status[4:]}
        assert client.get("/post/").status_code == 200


def ended(client: socket.socket) -> bool:
    """Whether the server ends a connection, after whatever it has answered."""
    with contextlib.suppress(ConnectionError):
        while client.recv(65536):
            pass
    return True


def test_clients_that_do_not_read(other_database):
    """Neither they nor those who send what nobody waits for keep a place or a connection."""
    get = b"GET /openapi.json HTTP/1.1\r\nHost: pamps\r\n"
    settings = {"SERVER__receive_timeout": "1", "SERVER__max_requests": "1"}
    with signed_in(other_database, **settings) as client, contextlib.ExitStack() as stack:
        address = client.base_url.host, client.base_url.port

        def connect() -> socket.socket:
            return stack.enter_context(socket.create_connection(address, timeout=15))

        many, late, unread = connect(), connect(), connect()
        with contextlib.suppress(OSError):  # it may end before all is sent
            many.sendall((get + b"\r\n") * 1000)
        assert ended(many)
        # The body of a request that has its answer already.
        late.sendall(get.replace(b"/openapi.json", b"/nowhere") + b"Content-Length: 1\r\n\r\n")
        assert late.recv(4096).startswith(b"HTTP/1.1 404")
        late.sendall(b"x")
        assert ended(late)
        deadline = time.monotonic() + 20
        # Until it has taken the one place there is, or was hung up on before.
        with contextlib.suppress(ConnectionError):
            while client.get("/post/").status_code == 200:
                unread.sendall((get + b"\r\n") * 5)
        while client.get("/post/").status_code == 503:
            assert time.monotonic() < deadline


def test_a_stop_while_the_database_does_not_answer(other_database):
    """The process ends, whatever its threads wait for."""
    settings = {"DB__lock_timeout": "60", "DB__statement_timeout": "60"}
    settings |= {"SERVER__request_timeout": "1", "SERVER__receive_timeout": "1"}
    variables = {f"PAMPS_{name}": value for name, value in settings.items()}
    with served(variables | {"PAMPS_DB__uri": other_database}) as (process, client):
        assert client.post("/user/", json=USER).status_code == 201
        with locked(other_database, USERS):
            refused_for_now(client.post("/token", data=USER))
            process.terminate()
            assert process.wait(timeout=20) == 0


def test_a_database_that_takes_no_connections():
    """A new one is waited for, but not for ever, with a session or without."""
    with databases.embedded_server() as server:
        ((folder,),) = execute(make_url(server), "SHOW data_directory")
        postmaster = int((Path(folder) / "postmaster.pid").read_text().split()[0])
        settings = {"PAMPS_DB__uri": server, "PAMPS_DB__connect_timeout": "1"}
        with served(settings) as (process, client), locked(server, "SELECT") as other:
            assert client.get("/post/").status_code == 200
            os.kill(postmaster, signal.SIGSTOP)
            pamps = "FROM pg_stat_activity WHERE application_name = 'pamps'"
            other.execute(f"SELECT pg_terminate_backend(pid) {pamps}")
            for answer in (client.get("/post/"), client.post("/user/", json=USER)):
                assert "database cannot serve" in refused_for_now(answer)
            os.kill(postmaster, signal.SIGCONT)
            assert client.get("/post/").status_code == 200
            assert client.post("/user/", json=USER).status_code == 201
            process.terminate()


def test_a_database_that_ends_while_it_is_asked(other_database):
    """Its farewell, and that it did not read the question, come at once; nobody waits for more."""
    relay = Relay(other_database)
    settings = {"PAMPS_DB__pool_size": "1", "PAMPS_SERVER__request_timeout": "3"}
    settings["PAMPS_DB__uri"] = relay.address.render_as_string(hide_password=False)
    with served(settings) as (process, client):
        for _ in range(30):
            relay.ends = False
            assert client.get("/post/").status_code == 200
            relay.ends = True
            answer = client.get("/post/")
            assert "database cannot serve" in refused_for_now(answer)
        process.terminate()


def test_a_schema_that_changes_under_it(other_database):
    url = make_url(other_database)
    with signed_in(other_database) as client:
        for change, back in (
            ("ALTER TABLE post RENAME text TO x", "ALTER TABLE post RENAME x TO text"),
            ("ALTER TABLE post RENAME TO x", "ALTER TABLE x RENAME TO post"),
        ):
            execute(url, change)
            assert "database cannot serve" in refused_for_now(client.get("/post/"))
            assert "database cannot" in refused_for_now(client.post("/post/", json={"text": "x"}))
            execute(url, back)
            assert client.get("/post/").status_code == 200


def test_ready(other_database):
    with signed_in(other_database) as client:
        assert client.get("/health/ready").status_code == 200
        execute(make_url(other_database), "UPDATE alembic_version SET version_num = '72c02c3b3d49'")
        assert "older" in refused_for_now(client.get("/health/ready"))
        execute(make_url(other_database), "UPDATE alembic_version SET version_num = 'tomorrow'")
        assert "newer" in refused_for_now(client.get("/health/ready"))
        with locked(other_database, "LOCK alembic_version"):
            assert "within 1 s" in refused_for_now(client.get("/health/ready"))
            assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_that_no_client_notices(other_database, workers):
    """Who has a connection is told that it ends, and what was asked for is answered."""
    with served({"PAMPS_DB__uri": other_database}, "--workers", workers) as (process, client):
        limits = httpx.Limits(max_connections=1)
        with httpx.Client(base_url=client.base_url, limits=limits) as busy:
            assert busy.get("/health/ready").status_code == 200
            process.send_signal(signal.SIGTERM)
            while (ready := busy.get("/health/ready")).status_code == 200:
                pass
            assert refused_for_now(ready) == "stopping"
            while (answer := busy.get("/health/live")).headers.get("connection") != "close":
                assert answer.status_code == 200
            assert answer.status_code == 200
            # Nobody listens any more.
            with pytest.raises(httpx.ConnectError):
                busy.get("/post/")
    assert process.returncode == 0

"""PgBouncer in transaction mode between Pamps and PostgreSQL."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Callable, Iterator

import httpx
import pytest
from sqlalchemy import make_url

from pamps.postgres import cluster
from tests.databases import USERS, execute, locked, wait_for_deletions
from tests.helpers import (
    User,
    assert_one_red_line,
    at_once,
    create_account,
    refused_for_now,
    sign_in,
)
from tests.postgresql import PostgreSQL, running
from tests.proxies import SEARCH_PATH
from tests.proxies.servers import free_port
from tests.routes import READS, Crowd
from tests.servers import pamps, served
from tests.streams import stream

# One that is older than 1.21 knows no prepared statements.
SETTINGS = {"PAMPS_DB__prepared_statements": "false", "PAMPS_ENV": "testing"}
CONNECTIONS = 2
CONFIG = """
[databases]
pamps = host=127.0.0.1 port=%d user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = %d
"""


@pytest.fixture
def database(tmp_path) -> Iterator[PostgreSQL]:
    with running(tmp_path / "data") as database:
        yield database


@pytest.fixture
def pooled(database, tmp_path) -> Iterator[str]:
    """The address of a PgBouncer with two connections to the database."""
    port, config = free_port(), tmp_path / "pgbouncer.ini"
    config.write_text(CONFIG % (database.port, port, CONNECTIONS))
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith(("test_", "popen-", "pytest-")):
            folder.chmod(0o755)  # PgBouncer runs as another user, if this one is root
    with subprocess.Popen(
        ["pgbouncer", "--quiet", str(config)],
        env=os.environ | {"PATH": SEARCH_PATH},
        user=cluster.server_user_ids()[0],
        cwd="/",
    ) as process:
        try:
            while True:
                assert process.poll() is None, "pgbouncer does not start"
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
            yield f"postgresql://postgres@127.0.0.1:{port}/pamps"
        finally:
            process.terminate()


@pytest.fixture
def service(pooled) -> Iterator[httpx.Client]:
    settings = {"PAMPS_DB__uri": pooled, "PAMPS_SERVER__request_timeout": "2"}
    with served(SETTINGS | settings) as (process, client):
        yield client
        process.terminate()


@pytest.fixture
def remote_sign_up(service) -> Iterator[Callable[..., User]]:
    with contextlib.ExitStack() as stack:

        def sign_up(username: str, **fields: str) -> User:
            id_, token = create_account(service, username, **fields)
            headers = {"Authorization": f"Bearer {token}"}
            user = User(base_url=service.base_url, headers=headers, timeout=20)
            stack.enter_context(user)
            user.id, user.username = id_, username
            return user

        yield sign_up


def test_the_api(service, remote_sign_up, database):
    """What is written in pieces, under locks and with a key, and all that is read."""
    crowd = Crowd(service, remote_sign_up, 2)
    for route in READS:
        assert crowd.reader(route).get(crowd.path(route)).status_code == 200, route.name
    assert len(crowd.ana.get("/user/me/export/").json()["followers"]) == 2
    ana = remote_sign_up("zoe")
    headers = {"Idempotency-Key": "once"}

    def write() -> httpx.Response:
        return ana.post("/post/", json={"text": "#hello"}, headers=headers)

    statuses = {answer.status_code for answer in at_once(*[write] * 8)}
    assert statuses <= {201, 409}
    assert len(ana.get("/post/user/zoe/").json()) == 1
    at_once(*[lambda: sign_in(service, "zoe")] * 4)
    assert ana.delete(f"/post/{write().json()['id']}/").status_code == 204
    assert service.get("/health/ready").status_code == 200
    assert ana.delete("/user/me/").status_code == 204
    wait_for_deletions(make_url(database.address))


def test_a_request_that_is_cancelled(service, remote_sign_up, database):
    """PostgreSQL runs its statement no longer, and its connection serves others."""
    ana = remote_sign_up("ana")
    with locked(database.address, USERS):
        for _ in range(2 * CONNECTIONS):
            refused_for_now(ana.patch("/user/me/", json={"bio": "late"}))
    assert database.execute("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == []
    assert ana.patch("/user/me/", json={"bio": "new"}).status_code == 200


def test_no_session_state_is_left_behind(service, remote_sign_up, pooled, database):
    """Neither by requests nor by commands, which lift time limits for themselves."""
    ana = remote_sign_up("ana")
    ana.write("hello")
    settings = SETTINGS | {"PAMPS_DB__uri": pooled}
    assert pamps("recount", **settings).returncode == 0
    # PgBouncer itself sets the name and the encoding of each client.
    changed = """SELECT name FROM pg_settings WHERE source = 'session'
        AND name NOT IN ('application_name', 'client_encoding')"""
    url = make_url(pooled)
    assert execute(url, changed) == []
    execute(url, "SET work_mem = '1MB'")
    assert execute(url, changed) == [("work_mem",)], "what is left behind cannot be seen"
    assert database.execute("SELECT pid FROM pg_locks WHERE locktype = 'advisory'") == []


def test_migrations_go_direct(pooled):
    done = pamps("migrate", **SETTINGS, PAMPS_DB__uri=pooled)
    assert_one_red_line(done, "there is a pooler such as PgBouncer")


def test_streams(service, remote_sign_up):
    """No hints come through it, so events are looked for several times a second."""
    ana, bob = remote_sign_up("ana"), remote_sign_up("bob")
    ana.follow(bob)
    with stream(service, ana) as events:
        for number in range(3):
            bob.write(str(number))
            assert next(events).data["text"] == str(number)

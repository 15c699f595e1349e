"""Databases that are hard to connect to: several addresses, and few connections."""

import contextlib
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import make_url

from tests.databases import execute
from tests.helpers import USER
from tests.servers import Relay, served


def attempts(silent: socket.socket) -> int:
    """How often somebody has connected since the last look."""
    seen = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            silent.accept()[0].close()
            seen += 1
    return seen


def test_an_address_that_does_not_answer(other_database):
    """It is tried at the start, and then the other one is used at once."""
    url = Relay(other_database).address
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        ports = f"{silent.getsockname()[1]},{url.port}"
        url = url.set(host=None, port=None, query={"host": "127.0.0.1,127.0.0.1", "port": ports})
        settings = {"PAMPS_DB__uri": url.render_as_string(hide_password=False)}
        settings["PAMPS_DB__connect_timeout"] = "2"
        with served(settings) as (process, client), ThreadPoolExecutor(8) as pool:
            assert client.post("/user/", json=USER).status_code == 201
            assert attempts(silent) > 0
            pages = list(pool.map(client.get, ["/post/"] * 20))
            assert {page.status_code for page in pages} == {200}
            assert client.get("/health/ready").status_code == 200
            assert attempts(silent) == 0
            process.terminate()


@pytest.fixture
def limited(other_database) -> Iterator[str]:
    """The address of a database for a user who may have two connections to it."""
    url = make_url(other_database)
    name = f"limited_{os.getpid()}"
    password = f"PASSWORD '{url.password}'" if url.password else ""
    execute(
        url,
        f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 2 {password}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}",
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name}",
    )
    yield url.set(username=name).render_as_string(hide_password=False)
    execute(url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_fewer_connections_than_the_pool(limited, workers):
    """Requests wait for those there are, of other workers too."""
    settings = {"PAMPS_DB__uri": limited, "PAMPS_RATE_LIMIT__enabled": "false"}
    settings["PAMPS_SERVER__request_timeout"] = "60"  # on a machine that does other things too
    with (
        served(settings, "--workers", workers) as (process, client),
        ThreadPoolExecutor(8) as pool,
    ):
        client.post("/user/", json=USER)
        token = client.post("/token", data=USER).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"

        def ask(n: int) -> int:
            if n % 5 == 0:
                return client.patch("/user/me/", json={"bio": f"{n}"}).status_code
            if n % 5 == 1:
                headers = {"Idempotency-Key": f"{n}"}
                return client.post("/post/", json={"text": f"{n}"}, headers=headers).status_code
            return client.get("/post/").status_code

        assert set(pool.map(ask, range(40))) == {200, 201}
        process.terminate()

"""Several addresses of a database: a primary, and a standby that takes its place."""

from collections.abc import Iterator

import httpx
import pytest

from tests.helpers import User, at_once, create_account, refused_for_now
from tests.postgresql import PostgreSQL, running, wait_until
from tests.servers import served


@pytest.fixture
def servers(tmp_path) -> Iterator[tuple[PostgreSQL, PostgreSQL]]:
    """A primary and its standby."""
    with (
        running(tmp_path / "primary") as primary,
        running(tmp_path / "standby", primary) as standby,
    ):
        yield primary, standby


def of_both(first: PostgreSQL, second: PostgreSQL) -> str:
    """The address of two servers, of which the first is tried first."""
    ports = f"{first.port},{second.port}"
    return f"postgresql://postgres@/pamps?host=127.0.0.1,127.0.0.1&port={ports}"


def write(client: httpx.Client) -> httpx.Response:
    return client.post("/post/", json={"text": "hello"})


@pytest.fixture
def ana(servers) -> Iterator[User]:
    """A client for a server that has both addresses, the standby's first.

    Both may also serve reads, whichever of them is a standby then.
    """
    primary, standby = servers
    settings = {"PAMPS_DB__uri": of_both(standby, primary), "PAMPS_DB__connect_timeout": "1"}
    settings["PAMPS_DB__replica_uri"] = settings["PAMPS_DB__uri"]
    with served(settings) as (process, client):
        _, token = create_account(client, "ana")
        client.headers["Authorization"] = f"Bearer {token}"
        yield client
        process.terminate()


def test_a_standby_takes_the_place_of_a_killed_primary(servers, ana):
    primary, standby = servers
    assert write(ana).status_code == 201
    standby.catch_up(primary)
    primary.kill()
    refused_for_now(write(ana))
    standby.promote()
    assert write(ana).status_code == 201
    assert len(ana.get("/post/").json()) == 2


def test_a_primary_that_becomes_read_only(servers, ana):
    """Its connections stay open; the first write on one of them ends all."""
    primary, standby = servers
    with httpx.Client(base_url=ana.base_url) as anybody:
        assert write(ana).status_code == 201
        standby.catch_up(primary)
        standby.promote()
        primary.execute(
            "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"
        )
        shown = "SHOW default_transaction_read_only"
        assert wait_until(lambda: primary.execute(shown) == [("on",)], 20)
        refused_for_now(write(ana))
        assert write(ana).status_code == 201
        assert anybody.get("/post/").status_code == 200
    assert len(standby.execute("SELECT id FROM post")) == 2


@pytest.fixture
def alone(tmp_path) -> Iterator[tuple[User, PostgreSQL]]:
    """A client for a server whose database waits for a standby that is away."""
    with running(tmp_path / "data") as database:
        settings = {"PAMPS_DB__uri": database.address, "PAMPS_SERVER__request_timeout": "2"}
        with served(settings) as (process, client):
            _, token = create_account(client, "ana")
            client.headers["Authorization"] = f"Bearer {token}"
            assert write(client).status_code == 201
            wait_for_standby(database, "*")
            yield client, database
            process.terminate()


def wait_for_standby(database: PostgreSQL, names: str) -> None:
    database.execute(
        f"ALTER SYSTEM SET synchronous_standby_names = '{names}'", "SELECT pg_reload_conf()"
    )
    shown = "SHOW synchronous_standby_names"
    assert wait_until(lambda: database.execute(shown) == [(names,)], 20)


def test_a_write_that_the_standby_does_not_have_is_not_acknowledged(alone):
    """Also if it is sent again: it would be lost with the primary."""
    ana, database = alone
    key = {"Idempotency-Key": "1"}
    acts = [
        lambda: ana.post("/post/", json={"text": "once"}, headers=key),
        lambda: ana.post("/post/1/like/"),
        lambda: ana.post("/post/1/bookmark/"),
    ]
    for _ in range(2):
        for answer in at_once(*acts):
            refused_for_now(answer)
    wait_for_standby(database, "")
    assert [answer.status_code for answer in at_once(*acts)] == [201, 200, 200]
    assert len(ana.get("/post/user/ana/").json()) == 2

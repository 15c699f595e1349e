"""Idempotency-Key on every route that takes it: one transaction, on one connection."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests import canary
from tests.databases import execute, here, query
from tests.helpers import Client, sign_in, superuser
from tests.routes import ROUTES, Route, content, values

KEYED = [route for route in ROUTES if route.method == "POST" and route.keyed]
# Requests that are refused after they have looked into the database, or have written to it.
REFUSED = [
    ("/post/", {"json": {"text": "x", "parent_id": 10**9}}, 404),
    (f"/post/{10**9}/like/", {}, 404),
    (f"/user/follow/{10**9}", {}, 404),
    ("/user/nobody/disable/", {}, 404),
    ("/user/", {"json": {"username": "ANA", "email": "x@pamps.com", "password": "x"}}, 409),
    ("/token", {"data": {"username": "ana", "password": canary.WORD}}, 401),
]


def send(client: Client, route: Route, filled: dict[str, object]):
    path = route.path.format(**filled)
    headers = {"Idempotency-Key": route.name}
    return client.post(path, headers=headers, **content(route, filled))


def stored() -> dict[str, list[tuple]]:
    """All rows of all tables."""
    from pamps.models import SQLModel

    names = [table.name for table in SQLModel.metadata.sorted_tables]
    return {name: sorted(query(f'SELECT "{name}"::text FROM "{name}"')) for name in names}


@pytest.fixture
def broken_table() -> Iterator[None]:
    """No response can be stored."""
    execute(
        here(),
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$""",
        "CREATE TRIGGER refuse BEFORE INSERT ON idempotency EXECUTE FUNCTION refuse()",
    )
    yield
    execute(here(), "DROP FUNCTION IF EXISTS refuse CASCADE")


@pytest.mark.parametrize("route", KEYED, ids=lambda route: route.name)
def test_nothing_is_stored_without_the_response(api_client, sign_up, broken_table, route):
    """Else the same request, sent again, would be done again."""
    ana, root = sign_up("ana"), superuser(api_client)
    filled = values(ana, ana.write()["id"])
    before = stored()
    assert send(root, route, filled).status_code == 500
    assert stored() == before
    execute(here(), "DROP FUNCTION refuse CASCADE")
    assert send(root, route, filled).is_success
    assert stored() != before


@pytest.fixture
def one_connection(server, monkeypatch) -> Iterator[TestClient]:
    """The API with a pool of one connection, for which no request waits long."""
    from pamps.app import create_app
    from pamps.config import settings

    monkeypatch.setitem(vars(settings.db), "pool_size", 1)
    monkeypatch.setitem(vars(settings.server), "request_timeout", 5)
    with TestClient(create_app()) as client:
        yield client


def test_no_request_waits_for_a_second_connection(one_connection, sign_up):
    ana, root = sign_up("ana"), superuser(one_connection)
    filled = values(ana, ana.write()["id"])
    for route in KEYED:
        for _ in range(2):
            assert send(root, route, filled).is_success, route.name
    for path, body, status in REFUSED:
        headers = {"Idempotency-Key": path}
        assert root.post(path, headers=headers, **body).status_code == status, path


def test_a_stolen_token_with_a_key(one_connection, sign_up, monkeypatch):
    """The session ends, though the request is refused."""
    from pamps.config import settings

    monkeypatch.setitem(vars(settings.security), "REFRESH_TOKEN_REPLAY_SECONDS", 0)
    sign_up("ana")
    client = Client(one_connection)
    spent = {"refresh_token": sign_in(client, "ana")["refresh_token"]}
    tokens = client.post("/refresh_token", json=spent).json()
    assert (
        client.post("/refresh_token", json=spent, headers={"Idempotency-Key": "key"}).status_code
        == 401
    )
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert client.get("/user/me/", headers=headers).status_code == 401

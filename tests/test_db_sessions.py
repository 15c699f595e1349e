"""The workshop's way to the database: a plain `def` route with a session."""

import asyncio
import sys

import httpx
import pytest
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlmodel import col, select

from tests.helpers import refused_for_now
from tests.servers import run


@pytest.fixture
def app() -> FastAPI:
    """The API with routes that somebody who comes from the workshop adds."""
    from pamps.app import create_app
    from pamps.db import ActiveSession
    from pamps.models import User

    app = create_app()

    @app.get("/names")
    def names(*, session: ActiveSession) -> list[str]:
        return list(session.exec(select(User.username).order_by(col(User.id))).all())

    @app.post("/rename/{name}")
    def rename(*, name: str, session: ActiveSession) -> None:
        user = session.exec(select(User)).one()
        user.username = name
        session.add(user)
        if name != "forgotten":
            session.commit()

    @app.get("/sleep")
    def sleep(*, session: ActiveSession) -> None:
        session.execute(text("SELECT pg_sleep(0.01)"))

    @app.get("/broken/{statement}")
    def broken(*, statement: str, session: ActiveSession) -> None:
        session.execute(text(statement))

    return app


def test_a_route_of_one_s_own(app, sign_up):
    sign_up("ana")
    client = TestClient(app)
    assert client.get("/names/").json() == ["ana"]
    assert client.post("/rename/bia/").status_code == 200
    assert client.get("/names/").json() == ["bia"]
    assert client.get("/user/bia/").status_code == 200


def test_what_is_not_committed_is_undone(app, sign_up):
    sign_up("ana")
    client = TestClient(app)
    assert client.post("/rename/forgotten/").status_code == 200
    assert client.get("/names/").json() == ["ana"]


def test_errors(app, sign_up):
    """They are what they are in all routes."""
    ana, bia = sign_up("ana"), sign_up("bia")
    client = TestClient(app, raise_server_exceptions=False)
    taken = client.get("/broken/UPDATE \"user\" SET username = 'ana'/")
    assert (taken.status_code, taken.json()) == (409, {"detail": "Username already taken"})
    assert "database cannot" in refused_for_now(client.get("/broken/SELECT * FROM nothing/"))
    bug = client.get("/broken/SELECT 1 1/")
    assert bug.status_code == 500
    assert bug.json()["detail"].startswith("Internal server error")
    assert client.get("/names/").json() == [ana.username, bia.username]


def test_many_at_once(app):
    """More than there are threads and connections: none waits for one that another one holds."""

    async def ask() -> list[int]:
        current_default_thread_limiter().total_tokens = 5
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://pamps") as client:
            answers = await asyncio.gather(*(client.get("/sleep/", timeout=60) for _ in range(300)))
        return [answer.status_code for answer in answers]

    assert asyncio.run(ask()) == [200] * 300


def test_the_database_needs_no_fastapi():
    script = "import sys, pamps.db; print({'fastapi', 'starlette'} & sys.modules.keys())"
    assert run([sys.executable, "-c", script]).stdout == "set()\n"

"""The application in several event loops, as tests use it: `TestClient(app)` without `with`."""

import asyncio
import gc
import warnings
from collections.abc import Callable

import httpx
import pytest
from fastapi.responses import Response
from fastapi.testclient import TestClient

from tests import canary
from tests.databases import query
from tests.helpers import at_once

IN_USE = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"


@pytest.fixture
def app():
    from pamps.app import app

    return app


def signed_in(app: Callable, username: str) -> TestClient:
    """A client of the workshop's kind, each of whose requests has an event loop of its own."""
    password = canary.password(username)
    client = TestClient(app)
    account = {"username": username, "email": f"{username}@pamps.com", "password": password}
    assert client.post("/user/", json=account).status_code == 201
    token = client.post("/token", data={"username": username, "password": password}).json()
    client.headers["Authorization"] = f"Bearer {token['access_token']}"
    return client


def use(client: TestClient, text: str) -> None:
    """Makes requests of each kind: by statements, by sessions, keyed, and for the health."""
    post = client.post("/post/", json={"text": text})
    assert post.status_code == 201, post.text
    path = f"/post/{post.json()['id']}/"
    assert client.get(path).json()["text"] == text
    key = {"Idempotency-Key": text}
    for _ in range(2):
        reply = client.post(
            "/post/", json={"text": "x", "parent_id": post.json()["id"]}, headers=key
        )
        assert reply.status_code == 201
    assert len(client.get(path).json()["replies"]) == 1
    assert client.patch(path, json={"text": f"{text}!"}).status_code == 200
    assert client.get("/health/ready").status_code == 200
    assert client.delete(path).status_code == 204


def test_a_loop_for_each_request(app):
    ana = signed_in(app, "ana")
    for n in range(3):
        use(ana, f"hello {n}")


def test_loops_in_threads(app):
    clients = [signed_in(app, f"user{n}") for n in range(4)]
    at_once(
        *(
            lambda client=client: use(client, client.headers["Authorization"][-20:])
            for client in clients
        )
    )


def test_loops_that_have_ended(app):
    """Their connections are closed, though PostgreSQL may take a moment to notice."""
    with TestClient(app) as served:
        assert served.get("/post/").status_code == 200
    client = TestClient(app)
    before = query(IN_USE)
    for _ in range(40):
        assert client.get("/post/").status_code == 200
    assert query(IN_USE)[0][0] < before[0][0] + 20


def test_requests_are_counted_whatever_loop_they_come_in(monkeypatch, redis_uri):
    from pamps.config import settings
    from pamps.middleware.rate_limit import RateLimitMiddleware

    monkeypatch.setitem(vars(settings.rate_limit), "enabled", True)
    with warnings.catch_warnings():
        # Nobody can close a connection of asyncio's any more whose loop is closed.
        warnings.simplefilter("ignore", ResourceWarning)
        for storage in ("", redis_uri):
            monkeypatch.setitem(vars(settings.rate_limit), "storage_uri", storage)
            client = TestClient(RateLimitMiddleware(Response("here")))
            left = [int(client.get("/").headers["ratelimit-remaining"]) for _ in range(3)]
            assert left == [left[0], left[0] - 1, left[0] - 2]
        del client
        gc.collect()


@pytest.mark.parametrize("uvloop", [False, True])
def test_many_requests_in_a_loop_after_another(app, uvloop):
    """More than there are connections, by a client of asyncio's own."""

    async def get() -> list[int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://pamps") as client:
            answers = await asyncio.gather(*(client.get("/post/") for _ in range(60)))
        return [answer.status_code for answer in answers]

    for _ in range(3):
        with asyncio.Runner(loop_factory=new_loop(uvloop)) as runner:
            assert runner.run(get()) == [200] * 60
    assert query(IN_USE)[0][0] < 60


def new_loop(uvloop: bool) -> Callable[[], asyncio.AbstractEventLoop]:
    if uvloop:
        import uvloop as library

        return library.new_event_loop
    return asyncio.new_event_loop


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """What time it is, for results that are kept."""
    now = [1000.0]
    monkeypatch.setattr("pamps.loops.monotonic", lambda: now[0])
    return now


def test_a_result_is_kept_for_fifty_times_as_long_as_the_query_took(clock):
    from pamps.loops import KeptResult

    queries = iter([1, 0, 10])
    results = []

    async def query() -> int:
        clock[0] += next(queries)
        results.append(len(results))
        return results[-1]

    async def get() -> None:
        kept = KeptResult(query)
        assert [await kept.get() for _ in range(3)] == [0, 0, 0]
        clock[0] += 49.9
        assert await kept.get() == 0
        clock[0] += 0.1
        assert await kept.get() == 1
        # That took no time at all.
        assert await kept.get() == 2
        clock[0] += 499
        assert await kept.get() == 2

    asyncio.run(get())


def test_a_result_is_queried_once_for_all_who_wait_and_again_after_an_error(clock):
    from pamps.loops import KeptResult

    began, may_end, errors = [], asyncio.Event(), [True]

    async def query() -> str:
        began.append(None)
        await may_end.wait()
        clock[0] += 1
        if errors:
            errors.pop()
            raise ValueError("no result")
        return "result"

    async def get() -> None:
        kept = KeptResult(query)
        first, *others = [asyncio.create_task(kept.get()) for _ in range(20)]
        while not began:
            await asyncio.sleep(0)
        may_end.set()
        with pytest.raises(ValueError, match="no result"):
            await first
        assert await asyncio.gather(*others) == ["result"] * 19
        assert len(began) == 2

    asyncio.run(get())

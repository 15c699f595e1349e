"""The deadline of a request: its response is in time, and what it had begun is undone."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import make_url

from tests.databases import USERS, execute, locked
from tests.helpers import USER, refused_for_now
from tests.servers import served, signed_in

WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
LATE = {
    "DB__lock_timeout": "60",
    "DB__statement_timeout": "60",
    "DB__pool_size": "1",
    "SERVER__request_timeout": "1",
}


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "key"}])
def test_a_late_statement_is_cancelled(other_database, headers):
    url = make_url(other_database)
    with signed_in(other_database, **LATE) as client:
        with locked(other_database, USERS):
            response = client.post("/post/", json={"text": "late"}, headers=headers)
            assert (response.status_code, response.headers["retry-after"]) == (503, "1")
            assert response.json() == {"detail": "The request took too long, try again"}
            deadline = time.monotonic() + 10
            while execute(url, WAITING):
                assert time.monotonic() < deadline
        assert execute(url, "SELECT count(*) FROM post") == [(0,)]
        assert execute(url, "SELECT count(*) FROM idempotency") == [(0,)]
        # The one connection is free again, and the key can be used.
        response = client.post("/post/", json={"text": "in time"}, headers=headers)
        assert response.status_code == 201
        assert len(client.get("/post/").json()) == 1


def test_a_cancellation_by_others_is_no_503():
    """Such as the server's, when it stops."""
    from pamps.middleware.deadline import DeadlineMiddleware

    started, sent = asyncio.Event(), []

    async def wait(*_: object) -> None:
        started.set()
        await asyncio.Event().wait()

    async def send(message: dict) -> None:
        sent.append(message)

    async def cancel() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        request = asyncio.create_task(DeadlineMiddleware(wait)(scope, None, send))
        await started.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(cancel())
    assert sent == []


def test_a_request_that_takes_too_long(other_database):
    """The service goes on, and nothing is stored of what it was too busy for.

    Of a late request something may be: its statement can end just before it is cancelled.
    """
    settings = {"DB__lock_timeout": "60", "DB__statement_timeout": "60"}
    settings |= {"DB__pool_size": "1", "SERVER__request_timeout": "1", "SERVER__max_requests": "2"}
    with signed_in(other_database, **settings) as client:
        write = lambda n: client.post("/post/", json={"text": f"{n}"})  # noqa: E731
        with locked(other_database, USERS), ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(write, range(8)))
            details = [refused_for_now(answer) for answer in answers]
            late, overloaded = (
                {f"{n}" for n, detail in enumerate(details) if detail == wanted}
                for wanted in (
                    "The request took too long, try again",
                    "The service is overloaded, try again",
                )
            )
            assert late
            assert overloaded
            assert late | overloaded == set(map(str, range(8)))
            assert client.get("/health/live").json() == {"status": "ok"}
            # The one connection is free as soon as PostgreSQL has cancelled the last statement.
            deadline = time.monotonic() + 10
            while client.get("/health/ready").json() != {"status": "ok"}:
                assert time.monotonic() < deadline
        deadline = time.monotonic() + 10
        while client.get("/post/").status_code == 503:
            assert time.monotonic() < deadline
        assert {post["text"] for post in client.get("/post/").json()} <= late


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


def test_a_long_response_takes_nobodys_place(monkeypatch):
    """And it may take longer than the deadline, which is for its beginning."""
    from pamps.config import settings
    from pamps.middleware.deadline import DeadlineMiddleware

    monkeypatch.setitem(vars(settings.server), "max_requests", 1)
    begun, scope = asyncio.Event(), {"type": "http", "method": "GET", "path": "/", "headers": []}

    async def app(scope: dict, receive: object, send: Callable) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/long":
            begun.set()
            await asyncio.Event().wait()

    async def ask() -> None:
        middleware, statuses = DeadlineMiddleware(app), []

        async def send(message: dict) -> None:
            statuses.append(message.get("status"))

        long = asyncio.create_task(middleware(scope | {"path": "/long"}, None, send))
        await begun.wait()
        for _ in range(2):
            await middleware(scope, None, send)
        assert statuses == [200, 200, 200]
        long.cancel()
        await asyncio.gather(long, return_exceptions=True)
        assert middleware.requests == 0

    asyncio.run(ask())

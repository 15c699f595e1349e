"""The deadline of a request: its response is in time, and what it had begun is undone."""

import asyncio
import time

import pytest
from sqlalchemy import make_url

from tests.databases import execute, locked
from tests.servers import signed_in

USERS = 'SELECT * FROM "user" ORDER BY id FOR UPDATE'
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

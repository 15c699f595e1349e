"""Transactions that PostgreSQL aborts, done again."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import make_url

from tests.databases import USERS, execute, locked
from tests.helpers import USER
from tests.servers import signed_in


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


def test_the_body_of_a_request_is_received_once():
    """A response that is streamed waits for the client to go, and meanwhile nobody else waits."""
    from pamps.middleware.retries import RetryMiddleware
    from pamps.state import request_state

    async def handler(scope, receive, send):
        received.extend([await receive(), await receive()])

    async def receive():
        return {"type": "http.disconnect"}

    received: list[dict] = []
    scope = {"type": "http", "method": "POST"}
    request_state(scope).body = b"body"
    asyncio.run(RetryMiddleware(handler)(scope, receive, None))
    assert [message["type"] for message in received] == ["http.request", "http.disconnect"]
    assert received[0]["body"] == b"body"

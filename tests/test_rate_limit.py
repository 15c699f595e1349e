"""The limit of requests in all."""

import asyncio
import time
from types import SimpleNamespace

import limits
import pytest
from fastapi.responses import Response
from fastapi.testclient import TestClient

from tests import canary
from tests.helpers import Client, sign_in


def test_requests(api_client, api_client_user1, rate_limits):
    client = Client(api_client, address="192.0.2.77")
    for remaining in range(299, -1, -1):
        response = client.get("/swagger/favicon-32x32.png")
        assert response.status_code == 200
        assert response.headers["ratelimit-limit"] == "300"
        assert response.headers["ratelimit-remaining"] == str(remaining)
        assert 0 < int(response.headers["ratelimit-reset"]) <= 300
    refused = client.get("/post/")
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == refused.headers["ratelimit-reset"]
    assert refused.headers["ratelimit-remaining"] == "0"
    assert refused.json()["detail"].startswith("Too many requests, try again in ")
    # A user counts for himself, wherever he is; a token that is no good makes no user.
    token = api_client_user1.headers["Authorization"]
    assert client.get("/user/me/", headers={"Authorization": token}).status_code == 200
    assert client.get("/post/", headers={"Authorization": token[:-9]}).status_code == 429
    assert Client(api_client, address="192.0.2.78").get("/post/").status_code == 200


def test_signing_out_and_a_new_password_are_never_refused(
    api_client, api_client_user1, rate_limits
):
    other = sign_in(api_client, "user1")
    while api_client_user1.get("/swagger/favicon-32x32.png").status_code == 200:
        pass
    assert api_client_user1.get("/user/me/").status_code == 429
    headers = {"Authorization": f"Bearer {other['access_token']}"}
    assert api_client_user1.post("/logout", headers=headers).status_code == 204
    body = {"current_password": canary.password("user1"), "new_password": canary.password("new")}
    assert api_client_user1.put("/user/me/password/", json=body).status_code == 204


def test_better_no_limit_than_no_service(rate_limits, monkeypatch, caplog):
    from pamps.config import settings
    from pamps.middleware.rate_limit import RateLimitMiddleware

    monkeypatch.setitem(vars(settings.rate_limit), "storage_uri", "redis://127.0.0.1:1")
    client = TestClient(RateLimitMiddleware(Response("here")))
    assert client.get("/").text == "here"
    assert "the rate limit cannot be counted" in caplog.text


def test_the_windows_of_a_clock_that_goes_on(monkeypatch):
    """Each begins with a caller's first request, and is forgotten when it is over."""
    from pamps.middleware import rate_limit as ratelimit

    now = 1000.0
    monkeypatch.setattr(ratelimit, "time", SimpleNamespace(monotonic=lambda: now))
    memory = ratelimit._MemoryCounter(limits.parse("9/minute"))

    async def count() -> None:
        nonlocal now
        assert await memory.add("ana") == (1, 60)
        now += 40
        assert await memory.add("bob") == (1, 60)
        assert await memory.add("ana") == (2, 20)
        now += 20
        assert (await memory.count("ana"), await memory.count("bob")) == (0, 1)
        assert len(memory._windows) == 1
        assert await memory.add("ana") == (1, 60)
        now += 60
        assert await memory.count("ana") == 0
        assert len(memory._windows) == 0

    asyncio.run(count())


@pytest.mark.parametrize("seconds", [-86400, 86400])
def test_a_clock_that_is_set(rate_limits, monkeypatch, seconds):
    """It lets nobody ask more often, and makes nobody wait longer."""
    from pamps.config import settings
    from pamps.middleware.rate_limit import RateLimitMiddleware

    monkeypatch.setitem(vars(settings.rate_limit), "requests", "2/5 minutes")
    client = TestClient(RateLimitMiddleware(Response("here")))
    assert [client.get("/").status_code for _ in range(3)] == [200, 200, 429]
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + seconds)
    refused = client.get("/")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 300


def test_only_health_checks_are_exempt(api_client, rate_limits):
    for path in ("/health/live", "/health/ready"):
        for method in ("GET", "HEAD"):
            assert "ratelimit-limit" not in api_client.request(method, path).headers
        for method in ("POST", "OPTIONS", "DELETE"):
            assert "ratelimit-limit" in api_client.request(method, path).headers
    key = {"Idempotency-Key": "x"}
    assert "ratelimit-limit" in api_client.post("/health/x", headers=key).headers
    assert "ratelimit-limit" in api_client.get("/health/x").headers


def test_a_token_that_was_revoked_counts_for_the_address(api_client, api_client_user1, rate_limits):
    """Its owner would else be locked out by whoever has found it."""
    remaining = lambda answer: int(answer.headers["ratelimit-remaining"])  # noqa: E731
    token = sign_in(api_client, "user1")["access_token"]
    thief = Client(api_client, token, address="192.0.2.80")
    assert thief.post("/logout").status_code == 204
    before = remaining(api_client_user1.get("/user/me/"))
    statuses = [thief.get(path).status_code for path in ("/user/me/", "/user/", "/post/", "/no")]
    assert statuses == [401, 200, 401, 404]
    assert thief.post("/post/", headers={"Idempotency-Key": "x"}).status_code == 401
    assert remaining(api_client_user1.get("/user/me/")) == before - 1
    assert remaining(Client(api_client, address="192.0.2.80").get("/user/")) == 300 - 5 - 1

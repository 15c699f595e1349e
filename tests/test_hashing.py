"""Sign-ins, sign-ups and new passwords while there is much to hash: nobody else waits for it."""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import canary
from tests.databases import query
from tests.helpers import Client, at_once, sign_in

IN_TRANSACTION = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle in transaction'"""


def sign_up(client: Client, name: str, **options: object):
    body = {"username": name, "email": f"{name}@pamps.com", "password": canary.password(name)}
    return client.post("/user/", json=body, **options)


def post_token(client: Client, name: str, **options: object):
    form = {"username": name, "password": canary.password(name)}
    return client.post("/token", data=form, **options)


def change_password(client: Client):
    old, new = canary.password(client.username), canary.password("someone new")
    body = {"current_password": old, "new_password": new}
    return client.put("/user/me/password/", json=body)


def test_more_than_can_be_hashed_in_time(api_client, api_client_user1, monkeypatch):
    """It is refused at once and costs nothing; all else is served."""
    from pamps import hashing
    from pamps.config import settings

    monkeypatch.setitem(vars(settings.rate_limit), "enabled", True)
    tokens = sign_in(api_client, "user1")
    with contextlib.ExitStack() as stack:
        for _ in range(hashing.MAX_REQUESTS):
            stack.enter_context(hashing.queue_place())
        attempts = query("SELECT count(*) FROM attempt")
        for refused in (
            post_token(api_client, "user1"),
            post_token(api_client, "nobody"),
            post_token(api_client, "user1", headers={"Idempotency-Key": "a key"}),
            sign_up(api_client, "user2"),
            change_password(api_client_user1),
        ):
            assert refused.status_code == 503
            assert 1 <= int(refused.headers["retry-after"]) <= 5
            assert "try again" in refused.json()["detail"]
        assert query("SELECT count(*) FROM attempt") == attempts
        body = {"refresh_token": tokens["refresh_token"]}
        assert api_client.post("/refresh_token", json=body).status_code == 200
        form = body | {"grant_type": "refresh_token"}
        assert api_client.post("/token", data=form).status_code == 200
        assert api_client_user1.patch("/user/me/", json={"bio": "x"}).status_code == 200
    assert sign_up(api_client, "user2").status_code == 201
    assert post_token(api_client, "user1").status_code == 200
    assert change_password(api_client_user1).status_code == 204


@pytest.mark.parametrize("keyed", [False, True])
def test_who_waits_for_a_hash_keeps_nobody_waiting(api_client, api_client_user1, keyed):
    """More wait than there are places for sessions, and none of them holds one."""
    from pamps import hashing
    from pamps.config import settings

    def headers(n: int) -> dict[str, str]:
        return {"Idempotency-Key": f"key {n}"} if keyed else {}

    waiting = 2 * settings.db.pool_size
    calls = [
        *[lambda n=n: post_token(api_client, "user1", headers=headers(n)) for n in range(waiting)],
        *[
            lambda n=n: sign_up(api_client, f"new{n}", headers=headers(100 + n))
            for n in range(waiting)
        ],
    ]
    assert len(calls) < hashing.MAX_REQUESTS
    done = threading.Event()
    hashing._executor.submit(done.wait)
    try:
        with ThreadPoolExecutor(len(calls)) as pool:
            answers = [pool.submit(call) for call in calls]
            while hashing._executor._work_queue.qsize() < len(calls):
                assert not any(answer.done() for answer in answers)
            assert query(IN_TRANSACTION) == [(0,)]
            write = lambda: api_client_user1.patch("/user/me/", json={"bio": "x"})  # noqa: E731
            assert [answer.status_code for answer in at_once(*[write] * waiting)] == [200] * waiting
            assert not any(answer.done() for answer in answers)
            done.set()
            statuses = [answer.result().status_code for answer in answers]
    finally:
        done.set()
    assert statuses == [200] * waiting + [201] * waiting


def test_a_request_that_is_cancelled_takes_its_hash_out_of_the_queue(api_client):
    from pamps import hashing

    async def cancel() -> None:
        request = asyncio.create_task(hashing.hash_password("x"))
        while not hashing._executor._work_queue.qsize():
            await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    done = threading.Event()
    hashing._executor.submit(done.wait)
    try:
        while hashing._executor._work_queue.qsize():
            pass
        asyncio.run(cancel())
        assert hashing._executor._work_queue.get_nowait().future.cancelled()
    finally:
        done.set()


def test_sign_ins_that_renew_the_same_old_hash(api_client, api_client_user1):
    """All of them succeed, though the hash that they have verified is another one by then."""
    from passlib.hash import bcrypt
    from sqlmodel import select, update

    from pamps.db import engine
    from pamps.models import User

    old = bcrypt.using(rounds=4).hash(canary.password("user1"))
    for _ in range(3):
        with engine.begin() as connection:
            connection.execute(update(User).values(password=old))
        answers = at_once(*[lambda: post_token(api_client, "user1")] * 10)
        assert [answer.status_code for answer in answers] == [200] * 10
        with engine.begin() as connection:
            assert connection.scalar(select(User.password)).startswith("$argon2id$")

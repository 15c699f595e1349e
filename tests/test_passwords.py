"""Passwords: which are allowed, how they change, and that nobody learns who has one."""

import itertools
import time

import pytest

from tests import canary
from tests.helpers import Client, at_once, sign_in

NEW = "nova senha 🔑 "


def change(client: Client, current: str, new: str):
    body = {"current_password": current, "new_password": new}
    return client.put("/user/me/password/", json=body)


def test_change(api_client, api_client_user1):
    old = canary.password("user1")
    refused = change(api_client_user1, "wrong", NEW)
    assert refused.status_code == 403
    assert refused.json() == {"detail": "The current password is incorrect"}
    assert api_client_user1.get("/user/me/").status_code == 200
    assert change(api_client_user1, old, NEW).status_code == 204
    form = {"username": "user1", "password": old}
    assert api_client.post("/token", data=form).status_code == 401
    assert sign_in(api_client, "user1", NEW)


@pytest.mark.parametrize("new", ["", "x" * 129, "a\0b", "USER1", "user1@PAMPS.com", "Password1"])
def test_refused(api_client_user1, monkeypatch, new):
    from pamps.config import settings

    monkeypatch.setitem(vars(settings.security), "PASSWORD_REFUSE_WEAK", True)
    response = change(api_client_user1, canary.password("user1"), new)
    assert response.status_code == 422
    (told,) = response.json()["detail"]
    assert told["loc"] == ["body", "new_password"]
    assert len(new) < 5 or new not in response.text
    user = {"email": "user1@pamps.com", "username": "user1", "password": new}
    response = Client(api_client_user1).post("/user/", json=user)
    assert response.json()["detail"][0]["loc"] == ["body", "password"]


def test_development_is_as_lenient_as_the_workshop(api_client_user1):
    assert change(api_client_user1, canary.password("user1"), "1234").status_code == 204


def test_the_common_ones_are_3000_that_are_long_enough(monkeypatch):
    from pamps import security
    from pamps.config import settings

    monkeypatch.setitem(vars(settings.security), "PASSWORD_MIN_LENGTH", 8)
    common = security._common_passwords.__wrapped__()
    assert len(common) == 3000
    assert {"password", "12345678", "iloveyou1"} <= common
    assert min(map(len, common)) == 8


@pytest.mark.parametrize("password", ["é" * 128, "x" * 128, " " * 8, "密码" * 10 + "🐍"])
def test_any_unicode_and_no_truncation(api_client, password):
    user = {"email": "bia@pamps.com", "username": "bia", "password": password}
    assert api_client.post("/user/", json=user).status_code == 201
    assert sign_in(api_client, "bia", password)
    for wrong in (password[:-1], password + "x", password[:72], password.strip() or "x"):
        form = {"username": "bia", "password": wrong}
        right = wrong == password
        assert (api_client.post("/token", data=form).status_code == 200) == right


def test_failures_are_alike(api_client, sign_up):
    """In what they say, and in that none is faster than the time that all take."""
    from passlib.hash import bcrypt
    from sqlmodel import update

    from pamps.config import settings
    from pamps.db import engine
    from pamps.models import User

    sign_up("modern")
    old = sign_up("old")
    hashed = bcrypt.using(rounds=4).hash("x")
    with engine.begin() as connection:
        connection.execute(update(User).where(User.id == old.id).values(password=hashed))
    answers = []
    names = ("nobody", "modern", "old", "no such name", "x" * 5000)
    for name, wrong in itertools.product(names, ("wrong", "x" * 5000)):
        started = time.perf_counter()
        response = api_client.post("/token", data={"username": name, "password": wrong})
        seconds = time.perf_counter() - started
        assert seconds >= settings.security.SIGN_IN_FAILURE_MILLISECONDS / 1000
        headers = {k: v for k, v in response.headers.items() if k != "x-request-id"}
        answers.append((response.status_code, response.text, headers))
    assert all(answer == answers[0] for answer in answers)


def test_a_failure_waits_without_a_connection(api_client, api_client_user1, monkeypatch):
    """And in the event loop, so without a thread."""
    from pamps.db import engine

    held = []

    async def sleep(seconds: float) -> None:
        held.append(engine.pool.checkedout())

    monkeypatch.setattr("asyncio.sleep", sleep)
    for name in ("user1", "nobody"):
        response = api_client.post("/token", data={"username": name, "password": "wrong"})
        assert response.status_code == 401
    assert held == [0, 0]


@pytest.mark.parametrize("stored", ["$2x$10$abc", "$2b$12$short", "$argon2id$v=19$nonsense"])
def test_a_hash_that_nobody_can_read(api_client, api_client_user1, stored):
    from sqlmodel import update

    from pamps.db import engine
    from pamps.models import User

    with engine.begin() as connection:
        connection.execute(update(User).values(password=stored))
    form = {"username": "user1", "password": canary.password("user1")}
    assert api_client.post("/token", data=form).status_code == 401


def test_verify_password_is_true_or_false():
    """And nothing else, as what is not empty is true."""
    from passlib.hash import bcrypt

    from pamps.security import get_password_hash, needs_rehash, verify_password

    new, old = get_password_hash("right"), bcrypt.using(rounds=4).hash("right")
    for stored, outdated in ((new, False), (old, True)):
        assert verify_password("right", stored) is True
        assert verify_password("wrong", stored) is False
        assert needs_rehash(stored) is outdated
    assert verify_password("right", None) is False


def test_of_many_changes_at_once_one_succeeds(sign_up):
    for n in range(5):
        ana = sign_up(f"ana{n}")
        old = canary.password(ana.username)
        calls = [lambda ana=ana, old=old, k=k: change(ana, old, f"{old} {k}") for k in range(6)]
        statuses = sorted(response.status_code for response in at_once(*calls))
        assert statuses[0] == 204
        assert set(statuses[1:]) <= {401, 403}

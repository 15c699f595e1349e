"""Idempotency-Key: what is sent twice happens once, and gets one answer."""

import hashlib
import itertools
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import make_url

from tests import canary
from tests.databases import execute, wait_for_deletions
from tests.helpers import Client, sign_in
from tests.routes import ROUTES, content, values


def rows(query: str) -> list[tuple]:
    from pamps.db import database_url

    return execute(make_url(database_url()), query)


@pytest.fixture
def key() -> dict[str, str]:
    return {"Idempotency-Key": f'"{uuid.uuid4()}"'}


def test_a_post_is_stored_once(sign_up, key):
    ana = sign_up("ana")
    first = ana.post("/post/", json={"text": "hello"}, headers=key)
    again = ana.post("/post/", json={"text": "hello"}, headers=key)
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert again.headers["content-type"] == "application/json"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert ana.ids("/post/") == [first.json()["id"]]
    assert ana.get("/user/ana/").json()["post_count"] == 1


def test_another_request_with_the_key(sign_up, key):
    ana, bob = sign_up("ana"), sign_up("bob")
    assert ana.post("/post/", json={"text": "hello"}, headers=key).status_code == 201
    for path, body in (("/post/", {"text": "other"}), ("/post/?a=1", {"text": "hello"})):
        refused = ana.post(path, json=body, headers=key)
        assert refused.status_code == 422
        (told,) = refused.json()["detail"]
        assert told["loc"] == ["header", "Idempotency-Key"]
    # Somebody else's key is another one.
    assert bob.post("/post/", json={"text": "mine"}, headers=key).status_code == 201
    assert len(ana.ids("/post/")) == 2


@pytest.mark.parametrize("value", ["", "é", "x" * 256])
def test_what_is_no_key(sign_up, value):
    ana = sign_up("ana")
    headers = {"Idempotency-Key": value.encode()}
    assert ana.post("/post/", json={"text": "x"}, headers=headers).status_code == 422
    assert ana.ids("/post/") == []


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.method == "POST"], ids=lambda route: route.name
)
def test_every_post_route(api_client, sign_up, key, route):
    owner, other = sign_up("owner"), sign_up("other")
    known = values(owner, owner.write()["id"])
    path = route.path.format(**known)
    first, again = (other.post(path, headers=key, **content(route, known)) for _ in range(2))
    assert first.status_code == again.status_code == route.other
    # Not what it would be now, such as 200 for somebody who follows already.
    assert again.content == first.content
    kept = route.keyed and first.is_success
    assert rows("SELECT count(*) FROM idempotency") == [(int(kept),)]
    if kept:
        # The key belongs to this route.
        elsewhere = "/user/" if route.path == "/token" else "/token"
        account = {"email": "eve@pamps.com", "username": "eve", "password": canary.password("eve")}
        body = {"json" if elsewhere == "/user/" else "data": account}
        assert other.post(elsewhere, headers=key, **body).status_code == 422


def test_a_refresh_with_a_key_goes_on(api_client, sign_up, key):
    """The spent token is not taken for a stolen one."""
    sign_up("ana")
    body = {"refresh_token": sign_in(api_client, "ana")["refresh_token"]}
    refreshed = [api_client.post("/refresh_token", json=body, headers=key) for _ in range(2)]
    assert refreshed[0].json() == refreshed[1].json()
    headers = {"Authorization": f"Bearer {refreshed[1].json()['access_token']}"}
    assert api_client.get("/user/me/", headers=headers).status_code == 200


def test_who_has_signed_out_gets_no_answers(sign_up, key):
    ana = sign_up("ana")
    assert ana.post("/post/", json={"text": "hello"}, headers=key).status_code == 201
    assert ana.post("/logout").status_code == 204
    assert ana.post("/post/", json={"text": "hello"}, headers=key).status_code == 401


def test_nobody_can_guess_from_what_is_kept(api_client, sign_up, key):
    """With a hash that anybody can make, a password is found by trying one after the other."""
    sign_up("ana")
    form = {"username": "ana", "password": canary.password("ana")}
    answer = api_client.post("/token", data=form, headers=key)
    body = answer.request.content
    ((kept_key, request),) = rows("SELECT key, request FROM idempotency")
    parts = [b"", b"/token", body, key["Idempotency-Key"].encode(), b"testclient"]
    for number in range(1, 4):
        for words in itertools.product(parts, repeat=number):
            for between in (b"", b"\0"):
                guess = hashlib.sha256(between.join(words)).digest()
                assert guess not in (bytes(kept_key), bytes(request))


def test_a_kept_answer_that_cannot_be_read(api_client, sign_up, key):
    """It is as if it were not kept."""
    sign_up("ana")
    form = {"username": "ana", "password": canary.password("ana")}
    first = api_client.post("/token", data=form, headers=key)
    rows("UPDATE idempotency SET answer = 'x' RETURNING 1")
    again = api_client.post("/token", data=form, headers=key)
    assert again.status_code == 200
    assert again.json() != first.json()
    assert api_client.post("/token", data=form, headers=key).json() == again.json()


@pytest.fixture
def secrets(monkeypatch) -> Iterator[Callable[[str], None]]:
    """Sets another secret, as if the process had been started with it."""
    from pamps.config import settings
    from pamps.folder import secret_key

    def use(secret: str) -> None:
        monkeypatch.setitem(vars(settings.security), "SECRET_KEY", secret)
        secret_key.cache_clear()

    yield use
    secret_key.cache_clear()


def test_another_secret(api_client, sign_up, key, secrets):
    """What was kept with the one before is of no use, and does no harm."""
    sign_up("ana")
    form = {"username": "ana", "password": canary.password("ana")}
    first = api_client.post("/token", data=form, headers=key)
    secrets("another secret of thirty-two bytes")
    again = api_client.post("/token", data=form, headers=key)
    assert again.status_code == 200
    assert again.json() != first.json()


def test_what_is_left_of_a_token(api_client, sign_up, key):
    sign_up("ana")
    form = {"username": "ana", "password": canary.password("ana")}
    first = api_client.post("/token", data=form, headers=key).json()
    for seconds, left in ((100, 1700), (1900, 0)):
        rows(f"UPDATE idempotency SET date = date - interval '{seconds} seconds' RETURNING 1")
        again = api_client.post("/token", data=form, headers=key).json()
        assert again["expires_in"] == pytest.approx(left, abs=2)
        assert again | {"expires_in": 0} == first | {"expires_in": 0}


def test_the_keys_of_a_network_are_its_own(api_client, key):
    """Nobody learns which keys strangers use, nor can take one before them."""
    for name, address in (("ana", "192.0.2.1"), ("bob", "192.0.2.2")):
        account = {"email": f"{name}@pamps.com", "username": name}
        account["password"] = canary.password(name)
        client = Client(api_client, address=address)
        created = [client.post("/user/", json=account, headers=key) for _ in range(2)]
        assert [answer.status_code for answer in created] == [201, 201]
        assert created[0].json()["username"] == name


def test_guesses_with_a_key_that_was_used(monkeypatch, api_client, sign_up, key):
    """They are sign-ins that failed, and the right one is refused too when there were too many."""
    from pamps.config import settings

    sign_up("ana")
    monkeypatch.setitem(vars(settings.rate_limit), "enabled", True)
    right = {"username": "ana", "password": canary.password("ana")}
    assert api_client.post("/token", data=right, headers=key).status_code == 200
    for n in range(5):
        wrong = right | {"password": f"{canary.WORD}{n}"}
        assert api_client.post("/token", data=wrong, headers=key).status_code == 422
        assert api_client.post("/token", data=right, headers=key).status_code == (429, 200)[n < 4]
    for form in (right, right | {"password": canary.WORD}):
        assert api_client.post("/token", data=form, headers=key).status_code == 429


@pytest.mark.parametrize("path", ["/token", "/user/"])
def test_guesses_of_what_a_key_was_used_with(monkeypatch, api_client, sign_up, key, path):
    """They are limited whatever the request is, and whatever it says that its body is."""
    from pamps.config import settings

    sign_up("ana")
    right = {"username": "ana" if path == "/token" else "bob", "email": "bob@pamps.com"}
    right["password"] = canary.password("ana")
    body = {"data": right} if path == "/token" else {"json": right}
    monkeypatch.setitem(vars(settings.rate_limit), "enabled", True)
    assert api_client.post(path, headers=key, **body).status_code in (200, 201)
    types = ["text/plain", "multipart/form-data; boundary=x; charset=unicode_escape"]
    part = b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\n\\ud800\r\n--x--'
    answers = []
    for n in range(6):
        headers = key | {"Content-Type": types[n % 2]}
        answers.append(api_client.post(path, headers=headers, content=part).status_code)
    assert answers == [422] * 5 + [429]
    assert api_client.post(path, headers=key, **body).status_code == 429


def test_a_form_that_cannot_be_read(api_client, sign_up, key):
    sign_up("ana")
    form = {"username": "ana", "password": canary.password("ana")}
    assert api_client.post("/token", data=form, headers=key).status_code == 200
    headers = key | {"Content-Type": "multipart/form-data"}
    assert api_client.post("/token", content=b"x", headers=headers).status_code == 422


def test_nobody_can_read_what_is_kept(api_client, sign_up, key):
    sign_up("ana")
    form = {"username": "ana", "password": canary.password("ana")}
    tokens = api_client.post("/token", data=form, headers=key).json()
    ((answer,),) = rows("SELECT answer FROM idempotency")
    assert tokens["access_token"].encode() not in bytes(answer)
    canary.assert_unseen(str(rows("SELECT * FROM idempotency")) + str(bytes(answer)))


def test_refusals_are_not_kept(sign_up, key):
    ana = sign_up("ana")
    body = {"text": "reply", "parent_id": 10**9}
    assert ana.post("/post/", json=body, headers=key).status_code == 404
    assert ana.post("/post/", json={"text": ""}, headers=key).status_code == 422
    assert ana.post("/post/", json={"text": "x" * 70_000}, headers=key).status_code == 413
    pieces = iter([b'{"text":"', b"x" * 70_000, b'"}'])
    headers = key | {"Content-Type": "application/json"}
    assert ana.post("/post/", content=pieces, headers=headers).status_code == 413
    assert ana.post("/post/", json={"text": "hello"}, headers=key).status_code == 201
    assert rows("SELECT count(*) FROM idempotency") == [(1,)]


def test_failed_sign_ins_count_with_a_key_too(monkeypatch, api_client, sign_up):
    from pamps.config import settings

    sign_up("ana")
    monkeypatch.setitem(vars(settings.rate_limit), "enabled", True)
    form = {"username": "ana", "password": canary.WORD}
    for n in range(5):
        headers = {"Idempotency-Key": f"key {n}"}
        assert api_client.post("/token", data=form, headers=headers).status_code == 401
    headers = {"Idempotency-Key": "one more"}
    assert api_client.post("/token", data=form, headers=headers).status_code == 429


def test_at_the_same_time(sign_up, key):
    """One of them does it, and the others are told to wait or get its answer."""
    ana = sign_up("ana")

    def send(_: int) -> tuple[int, bytes]:
        answer = ana.post("/post/", json={"text": "hello"}, headers=key)
        assert answer.status_code == 201 or answer.headers["retry-after"] == "1"
        return answer.status_code, answer.content

    with ThreadPoolExecutor(20) as pool:
        answers = set(pool.map(send, range(20)))
    assert {status for status, _ in answers} <= {201, 409}
    assert len({content for status, content in answers if status == 201}) == 1
    assert len(ana.ids("/post/")) == 1


def test_after_a_day(sign_up, key):
    ana = sign_up("ana")
    assert ana.post("/post/", json={"text": "hello"}, headers=key).status_code == 201
    rows("UPDATE idempotency SET date = date - interval '25 hours' RETURNING 1")
    assert ana.post("/post/", json={"text": "hello"}, headers=key).status_code == 201
    assert len(ana.ids("/post/")) == 2
    assert rows("SELECT count(*) FROM idempotency") == [(1,)]


def test_an_account_takes_its_answers_along(sign_up, key):
    from pamps.db import database_url

    ana = sign_up("ana")
    assert ana.post("/post/", json={"text": "hello"}, headers=key).status_code == 201
    assert ana.delete("/user/me/").status_code == 204
    wait_for_deletions(database_url())
    assert rows("SELECT * FROM idempotency") == []


def test_a_token_whose_account_is_gone(sign_up, key):
    """It is no reason to refuse what needs no account."""
    ana = sign_up("ana")
    assert ana.delete("/user/me/").status_code == 204
    account = {"email": "eve@pamps.com", "username": "eve", "password": canary.password("eve")}
    assert ana.post("/user/", json=account, headers=key).status_code == 201
    assert rows("SELECT user_id FROM idempotency") == [(None,)]


def test_tokens_that_are_no_good_are_no_answer(api_client, sign_up, key):
    """A client whose key is always the same can sign in again after it has signed out."""
    sign_up("ana")
    form = {"username": "ana", "password": canary.password("ana")}
    seen = set()
    for _ in range(3):
        tokens = api_client.post("/token", data=form, headers=key).json()
        assert api_client.post("/token", data=form, headers=key).json() == tokens
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert api_client.post("/logout", headers=headers).status_code == 204
        seen.add(tokens["access_token"])
    assert len(seen) == 3


def test_signing_out_with_a_key_used_before(api_client, sign_up):
    """It ends the session of its own token, and nothing is kept: signing out has no limit."""
    sign_up("ana")
    for _ in range(2):
        headers = {"Authorization": f"Bearer {sign_in(api_client, 'ana')['access_token']}"}
        signed_out = api_client.post("/logout", headers=headers | {"Idempotency-Key": "same"})
        assert signed_out.status_code == 204
        assert api_client.get("/user/me/", headers=headers).status_code == 401
    assert rows("SELECT count(*) FROM idempotency") == [(0,)]


def test_a_sign_in_with_a_key_holds_nobody_up(sign_up, api_client):
    """Not even those who wait for the row of the user that it has locked, with all threads."""
    ana = sign_up("ana")
    form = {"username": "ana", "password": canary.password("ana")}

    def sign_in(n: int) -> int:
        headers = {"Idempotency-Key": f"sign in {n}"}
        return api_client.post("/token", data=form, headers=headers).status_code

    def write(n: int) -> int:
        return ana.patch("/user/me/", json={"bio": f"{n}"}).status_code

    with ThreadPoolExecutor(32) as pool:
        written, signed_in = pool.map(write, range(300)), pool.map(sign_in, range(4))
        assert set(signed_in) == {200}
        assert set(written) == {200}

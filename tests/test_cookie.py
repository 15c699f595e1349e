"""The cookie that keeps the refresh token of a page which Pamps itself serves."""

import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from jose import jwt

from tests import canary
from tests.cookies import cookie_of, form, page, signed_in_page
from tests.helpers import Client, at_once, sign_in


@pytest.fixture
def tab(api_client, api_client_user1) -> Client:
    """A page whose user is signed in."""
    return signed_in_page(api_client)


def is_cleared(answer: httpx.Response) -> bool:
    value, attributes = cookie_of(answer)
    assert "Path=/refresh_token" in attributes
    return value == "" and "Max-Age=0" in attributes


def works(server: Client, answer: httpx.Response) -> bool:
    client = Client(server, answer.json()["access_token"])
    return client.get("/user/me/").status_code == 200


def test_a_sign_in(api_client, api_client_user1):
    answer = page(api_client).post("/token", data=form())
    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "token_type", "expires_in"}
    token, attributes = cookie_of(answer)
    expected = ["Max-Age=36000", "Path=/refresh_token", "HttpOnly", "SameSite=Strict", "Secure"]
    assert attributes == expected
    assert jwt.get_unverified_claims(token)["scope"] == "refresh_token"
    assert answer.headers["cache-control"] == "no-store"
    assert works(api_client, answer)


def test_the_cookie_of_a_page_by_http(api_client, api_client_user1, monkeypatch):
    """A browser keeps no Secure cookie from there."""
    from pamps.config import settings

    monkeypatch.setitem(vars(settings.security), "COOKIE_SECURE", False)
    answer = page(api_client, "http://192.0.2.10:8000").post("/token", data=form())
    assert "Secure" not in cookie_of(answer)[1]


@pytest.mark.parametrize("no", [{"cookie": "false"}, {}])
def test_nobody_gets_a_cookie_who_does_not_ask(api_client, api_client_user1, no):
    fields = {"username": "user1", "password": canary.password("user1"), **no}
    answer = page(api_client).post("/token", data=fields)
    assert "set-cookie" not in answer.headers
    assert "refresh_token" in answer.json()


@pytest.mark.parametrize("path", ["/refresh_token", "/refresh_token/"])
@pytest.mark.parametrize("body", [b"", b"null"])
def test_a_refresh(api_client, tab, path, body):
    """And another, with the cookie that the first has set."""
    seen = set()
    for _ in range(2):
        answer = tab.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200
        assert set(answer.json()) == {"access_token", "token_type", "expires_in"}
        token, attributes = cookie_of(answer)
        assert attributes[0] == "Max-Age=36000"
        assert answer.headers["cache-control"] == "no-store"
        assert jwt.get_unverified_claims(answer.json()["access_token"])["fresh"] is False
        assert works(api_client, answer)
        seen.add(token)
    assert len(seen) == 2


def test_two_tabs_at_once(api_client, tab):
    old = dict(tab.cookies)
    first = tab.post("/refresh_token")
    other = page(api_client)
    other.cookies.update(old)
    again = other.post("/refresh_token")
    assert (again.status_code, again.content) == (200, first.content)
    assert cookie_of(again) == cookie_of(first)
    assert tab.post("/refresh_token").status_code == 200


def set_sessions(**columns: datetime) -> None:
    from pamps.db import engine
    from pamps.models import UserSession

    with engine.begin() as connection:
        connection.execute(UserSession.__table__.update().values(**columns))


def test_a_cookie_shown_again_later_ends_its_session(api_client, tab):
    old = dict(tab.cookies)
    renewed = tab.post("/refresh_token")
    set_sessions(last_used=datetime.now(UTC) - timedelta(seconds=11))
    thief = page(api_client)
    thief.cookies.update(old)
    refused = thief.post("/refresh_token")
    assert (refused.status_code, is_cleared(refused)) == (401, True)
    assert not works(api_client, renewed)
    refused = tab.post("/refresh_token")
    assert (refused.status_code, is_cleared(refused)) == (401, True)
    assert not tab.cookies


@pytest.mark.parametrize("value", ["", "x", "é".encode(), b'"', canary.WORD])
def test_cookies_that_are_no_token(api_client, value):
    header = b"refresh_token=" + (value.encode() if isinstance(value, str) else value)
    answer = page(api_client).post("/refresh_token", headers=[(b"Cookie", header)])
    assert answer.json() == {"detail": "Could not validate credentials"}
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers if not value else is_cleared(answer)


def test_without_a_cookie(api_client):
    answer = page(api_client).post("/refresh_token")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_the_life_of_the_last_cookie_of_a_session(tab):
    set_sessions(started=datetime.now(UTC) - timedelta(days=30) + timedelta(minutes=10))
    _, attributes = cookie_of(tab.post("/refresh_token"))
    assert int(attributes[0].removeprefix("Max-Age=")) == pytest.approx(600, abs=10)


def test_a_body_goes_before_the_cookie(api_client, tab):
    """And needs no page: that client has the token."""
    tokens = sign_in(api_client, "user1")
    body = {"refresh_token": tokens["refresh_token"]}
    answer = tab.post("/refresh_token", json=body, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 200
    assert "refresh_token" in answer.json()
    assert "set-cookie" not in answer.headers
    refused = tab.post("/refresh_token", json={"refresh_token": "x"})
    assert (refused.status_code, "set-cookie" in refused.headers) == (401, False)
    assert tab.post("/refresh_token").status_code == 200


def test_the_grant_of_oauth_does_not_read_the_cookie(tab):
    headers = {"Cookie": f"refresh_token={tab.cookies['refresh_token']}"}
    answer = tab.post("/token", data={"grant_type": "refresh_token"}, headers=headers)
    assert answer.status_code == 422
    fields = {"grant_type": "refresh_token", "refresh_token": "x"}
    assert tab.post("/token", data=fields, headers=headers).status_code == 401
    assert tab.post("/refresh_token").status_code == 200


def test_the_grant_of_oauth_may_set_the_cookie(api_client, api_client_user1):
    """For a page that has a refresh token from before."""
    token = sign_in(api_client, "user1")["refresh_token"]
    fields = {"grant_type": "refresh_token", "refresh_token": token, "cookie": "true"}
    client = page(api_client)
    answer = client.post("/token", data=fields)
    assert "refresh_token" not in answer.json()
    assert client.post("/refresh_token").status_code == 200


def expired(token: str) -> str:
    from pamps.config import settings

    claims = jwt.get_unverified_claims(token) | {"exp": int(time.time()) - 24 * 3600}
    return jwt.encode(claims, settings.security.SECRET_KEY, "HS256")


@pytest.mark.parametrize("has_expired", [False, True])
def test_signing_out(api_client, tab, has_expired):
    """The session ends by the access token, as its cookie is not sent to /logout."""
    old = dict(tab.cookies)
    access = tab.post("/refresh_token").json()["access_token"]
    access = expired(access) if has_expired else access
    answer = tab.post("/logout", headers={"Authorization": f"Bearer {access}"})
    assert answer.status_code == 204
    assert "Cookie" not in answer.request.headers
    assert is_cleared(answer)
    assert not tab.cookies
    tab.cookies.update(old)
    assert tab.post("/refresh_token").status_code == 401


def test_nobody_is_signed_out_without_a_token(api_client, tab):
    """As by a form on a page of somebody else, to whose answer the browser would listen."""
    answer = tab.post("/logout", headers={"Origin": "https://evil.example"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
    assert tab.post("/refresh_token").status_code == 200


def test_a_client_without_a_cookie_signs_out(api_client, api_client_user1):
    assert api_client_user1.post("/logout").status_code == 204


def test_a_sign_in_with_a_key(api_client, tab):
    key = {"Idempotency-Key": "key"}
    first, again = (tab.post("/token", data=form(), headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()
    assert cookie_of(again) == cookie_of(first)
    assert tab.post("/refresh_token").status_code == 200
    # Tokens of a session that has ended are no answer.
    access = {"Authorization": f"Bearer {first.json()['access_token']}"}
    assert tab.post("/logout", headers=access).status_code == 204
    anew = tab.post("/token", data=form(), headers=key)
    assert works(api_client, anew)
    assert cookie_of(anew) != cookie_of(first)


def test_a_refresh_with_a_key(api_client, tab, sign_up):
    """Somebody else of the same network, and with the same key, gets nothing."""
    old = dict(tab.cookies)
    key = {"Idempotency-Key": "key"}
    first = tab.post("/refresh_token", headers=key)
    set_sessions(last_used=datetime.now(UTC) - timedelta(seconds=60))
    other = page(api_client)
    other.cookies.update(old)
    again = other.post("/refresh_token", headers=key)
    assert (again.status_code, again.json()) == (200, first.json())
    assert cookie_of(again) == cookie_of(first)
    sign_up("eve")
    eve = signed_in_page(api_client, "eve")
    assert eve.post("/refresh_token", headers=key).status_code == 422
    assert page(api_client).post("/refresh_token", headers=key).status_code == 422


def test_a_key_that_is_in_use_clears_nothing(api_client, tab):
    pages = [page(api_client) for _ in range(10)]
    for client in pages:
        client.cookies.update(dict(tab.cookies))
    key = {"Idempotency-Key": "key"}
    calls = [lambda client=client: client.post("/refresh_token", headers=key) for client in pages]
    answers = at_once(*calls)
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert not any("set-cookie" in answer.headers for answer in answers if answer.is_error)


def test_what_the_documentation_says(api_client):
    document = api_client.get("/openapi.json").json()
    operation = document["paths"]["/refresh_token"]["post"]
    assert not operation["requestBody"].get("required")
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    names = [item["$ref"].split("/")[-1] for item in schema["anyOf"]]
    assert names == ["Token", "AccessToken"]
    fields = {"access_token", "token_type", "expires_in"}
    required = [set(document["components"]["schemas"][name]["required"]) for name in names]
    assert required == [fields | {"refresh_token"}, fields]

"""Sessions: opened by a sign-in, carried on by refresh tokens that are good once, and ended."""

import hashlib
import time
from datetime import UTC, datetime, timedelta

import pytest
from jose import jwt

from tests import canary
from tests.databases import query
from tests.helpers import Client, at_once, command, sign_in, superuser


def refresh(client: Client, tokens: dict):
    return client.post("/refresh_token", json={"refresh_token": tokens["refresh_token"]})


def works(client: Client, tokens: dict) -> bool:
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    return client.get("/user/me/", headers=headers).status_code == 200


def test_refreshing_goes_on(api_client, api_client_user1):
    tokens = sign_in(api_client, "user1")
    for _ in range(3):
        response = refresh(api_client, tokens)
        assert response.status_code == 200
        tokens = response.json()
        assert works(api_client, tokens)
    assert len(api_client_user1.get("/user/me/sessions/").json()) == 2


def later(seconds: int) -> None:
    """Makes the last refresh of all sessions so much older."""
    from pamps.db import engine
    from pamps.models import UserSession

    older = UserSession.last_used - timedelta(seconds=seconds)
    with engine.begin() as connection:
        connection.execute(UserSession.__table__.update().values(last_used=older))


def assert_ended(client: Client, *pairs: dict) -> None:
    """None of the tokens of a session is any good."""
    for tokens in pairs:
        assert not works(client, tokens)
        assert refresh(client, tokens).status_code == 401


def test_a_token_refreshed_twice_gets_one_answer(api_client, api_client_user1):
    first = sign_in(api_client, "user1")
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    answers = [
        refresh(api_client, first),
        refresh(api_client, first),
        api_client.post("/token", data=form),
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.content for answer in answers}) == 1
    second = answers[0].json()
    assert works(api_client, second)
    later(8)
    assert refresh(api_client, first).status_code == 200
    assert refresh(api_client, second).status_code == 200


def test_many_refreshes_at_once_get_one_answer(api_client, api_client_user1):
    for keyed in (False, True):
        tokens = sign_in(api_client, "user1")
        body = {"refresh_token": tokens["refresh_token"]}
        calls = [
            lambda body=body, headers=headers: api_client.post(
                "/refresh_token", json=body, headers=headers
            )
            for headers in ({"Idempotency-Key": f"key {n}"} if keyed else {} for n in range(20))
        ]
        answers = at_once(*calls)
        assert [answer.status_code for answer in answers] == [200] * 20
        assert len({answer.content for answer in answers}) == 1
        assert works(api_client, answers[0].json())
        assert refresh(api_client, answers[0].json()).status_code == 200


def test_a_token_shown_again_later_ends_its_session(api_client, api_client_user1, caplog):
    other = sign_in(api_client, "user1")
    first = sign_in(api_client, "user1")
    second = refresh(api_client, first).json()
    later(11)
    assert refresh(api_client, first).status_code == 401
    assert "refresh token reused" in caplog.messages
    assert_ended(api_client, first, second)
    assert works(api_client, other)


def test_a_token_two_steps_back_ends_its_session(api_client, api_client_user1):
    first = sign_in(api_client, "user1")
    second = refresh(api_client, first).json()
    third = refresh(api_client, second).json()
    assert refresh(api_client, first).status_code == 401
    assert_ended(api_client, first, second, third)


def test_the_second_answer_can_be_turned_off(api_client, api_client_user1, monkeypatch):
    from pamps.config import settings

    monkeypatch.setitem(vars(settings.security), "REFRESH_TOKEN_REPLAY_SECONDS", 0)
    first = sign_in(api_client, "user1")
    second = refresh(api_client, first).json()
    assert refresh(api_client, first).status_code == 401
    assert_ended(api_client, second)


def test_a_database_that_is_set_back_revives_no_token(api_client, sign_up):
    """Users and sessions get the ids of others then."""
    set_back = 'TRUNCATE "user", session RESTART IDENTITY CASCADE'
    query_and_commit(set_back)
    ana = sign_up("ana")
    tokens = sign_in(api_client, "ana")
    query_and_commit(set_back)
    bia = sign_up("bia")
    assert bia.id == ana.id
    sign_in(api_client, "bia")
    ids = [item["id"] for item in bia.get("/user/me/sessions/").json()]
    assert ids == [2, 1]
    assert_ended(api_client, tokens)
    for response in (
        ana.get("/user/me/"),
        ana.post("/post/", json={"text": "x"}),
        ana.delete("/user/me/"),
    ):
        assert response.status_code == 401
    # Signing out is no way to end the session of somebody else either.
    assert ana.post("/logout").status_code == 204
    assert bia.get("/user/me/").status_code == 200


def query_and_commit(statement: str) -> None:
    from sqlalchemy import text

    from pamps.db import engine

    with engine.begin() as connection:
        connection.execute(text(statement))


def test_a_session_has_an_end(api_client, api_client_user1):
    from pamps.db import engine
    from pamps.models import UserSession

    tokens = sign_in(api_client, "user1")
    started = datetime.now(UTC) - timedelta(days=30) + timedelta(minutes=10)
    with engine.begin() as connection:
        connection.execute(UserSession.__table__.update().values(started=started))
    tokens = refresh(api_client, tokens).json()
    last = (started + timedelta(days=30)).timestamp()
    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert jwt.get_unverified_claims(token)["exp"] == pytest.approx(last, abs=2)
    assert tokens["expires_in"] == pytest.approx(600, abs=10)
    with engine.begin() as connection:
        connection.execute(UserSession.__table__.update().values(expires=datetime.now(UTC)))
    assert not works(api_client, tokens)
    assert refresh(api_client, tokens).status_code == 401


def test_expired_sessions_are_swept(api_client, sign_up):
    from pamps.maintenance.cleanup import delete_expired

    sign_up("ana")
    bia = sign_up("bia")
    for _ in range(3):
        sign_in(api_client, "ana")
    ana_s = "user_id = (SELECT id FROM \"user\" WHERE username = 'ana')"
    query_and_commit(f"UPDATE session SET expires = now() WHERE {ana_s}")
    api_client.portal.call(delete_expired)
    assert query(f"SELECT count(*) FROM session WHERE {ana_s}") == [(0,)]
    assert len(bia.get("/user/me/sessions/").json()) == 1


def test_only_a_hash_of_a_refresh_token_is_stored(api_client, api_client_user1):
    token = sign_in(api_client, "user1")["refresh_token"]
    token_id = jwt.get_unverified_claims(token)["jti"]
    assert len(token_id) >= 22  # 128 bits
    rows = query("SELECT session::text, token_hash FROM session ORDER BY id DESC")
    text, stored = rows[0]
    assert bytes(stored) == hashlib.sha256(token_id.encode()).digest()
    for secret in (token, token_id, token.split(".")[2]):
        assert secret not in text


def test_list_of_sessions(api_client, api_client_user1):
    tokens = sign_in(api_client, "user1")
    form = {"username": "user1", "password": canary.password("user1")}
    agent = "Pamps for Ana 1.0 " + "x" * 300
    api_client.post("/token", data=form, headers={"User-Agent": agent})
    refresh(api_client, tokens)
    third, second, first = api_client_user1.get("/user/me/sessions/").json()
    assert set(first) == {"id", "started", "last_used", "user_agent", "current"}
    assert [item["current"] for item in (first, second, third)] == [True, False, False]
    assert second["started"] < second["last_used"]
    assert first["started"].endswith("Z")
    assert third["user_agent"] == agent[:255]
    assert second["user_agent"] == "testclient"


def test_end_of_a_session(api_client, api_client_user1, api_client_user2):
    tokens = sign_in(api_client, "user1")
    session_id = api_client_user1.get("/user/me/sessions/").json()[0]["id"]
    path = f"/user/me/sessions/{session_id}/"
    response = api_client_user2.delete(path)
    assert (response.status_code, response.json()) == (404, {"detail": "Session not found"})
    assert works(api_client, tokens)
    assert api_client_user1.delete(path).status_code == 204
    assert not works(api_client, tokens)
    assert refresh(api_client, tokens).status_code == 401
    assert api_client_user1.delete(path).status_code == 404
    assert api_client_user1.get("/user/me/").status_code == 200


def expired(token: str) -> str:
    """The same token, which we have signed too, but of a day ago."""
    from pamps.config import settings

    claims = jwt.get_unverified_claims(token) | {"exp": int(time.time()) - 24 * 3600}
    return jwt.encode(claims, settings.security.SECRET_KEY, "HS256")


def by_access_token(tokens: dict) -> dict:
    return {"headers": {"Authorization": f"Bearer {tokens['access_token']}"}}


def by_expired_access_token(tokens: dict) -> dict:
    return {"headers": {"Authorization": f"Bearer {expired(tokens['access_token'])}"}}


def by_refresh_token(tokens: dict) -> dict:
    return {"json": {"refresh_token": tokens["refresh_token"]}}


def by_expired_refresh_token(tokens: dict) -> dict:
    return {"json": {"refresh_token": expired(tokens["refresh_token"])}}


def by_a_good_token_of_two(tokens: dict) -> dict:
    return by_refresh_token(tokens) | {"headers": {"Authorization": "Bearer x"}}


LOGOUTS = [by_access_token, by_expired_access_token, by_refresh_token, by_expired_refresh_token]


@pytest.mark.parametrize("how", [*LOGOUTS, by_a_good_token_of_two])
def test_logout(api_client, api_client_user1, how):
    first = sign_in(api_client, "user1")
    second = refresh(api_client, first).json()
    # The refresh token that was used is still one of that session.
    for headers in ({}, {"Idempotency-Key": "x"}, {"Idempotency-Key": "x"}):
        request = how(first)
        request["headers"] = request.get("headers", {}) | headers
        assert api_client.post("/logout", **request).status_code == 204
        assert_ended(api_client, first, second)
    assert api_client_user1.get("/user/me/").status_code == 200


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"json": {}},
        {"headers": {"Authorization": "Bearer x"}},
        {"json": {"refresh_token": "x"}},
    ],
)
def test_logout_takes_a_token(api_client, request_):
    response = api_client.post("/logout", **request_)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


def change_password(client: Client) -> None:
    old, new = canary.password(client.username), canary.password("someone new")
    body = {"current_password": old, "new_password": new}
    assert client.put("/user/me/password/", json=body).status_code == 204


def set_password(client: Client) -> None:
    command("set-password", client.username, stdin="new\nnew\n")


def delete_account(client: Client) -> None:
    assert client.delete("/user/me/").status_code == 204


def disable(client: Client) -> None:
    path = f"/user/{client.username}/disable/"
    assert superuser(client).post(path).status_code == 204


@pytest.mark.parametrize("act", [change_password, set_password, delete_account, disable])
def test_what_ends_all_sessions(api_client, sign_up, act):
    ana, bia = sign_up("ana"), sign_up("bia")
    tokens = [sign_in(api_client, "ana") for _ in range(2)]
    act(ana)
    assert ana.get("/user/me/").status_code == 401
    for pair in tokens:
        assert not works(api_client, pair)
        assert refresh(api_client, pair).status_code == 401
    assert bia.get("/user/me/").status_code == 200


def test_no_session_of_an_old_password_slips_through(api_client, sign_up):
    for n in range(5):
        ana = sign_up(f"ana{n}")
        form = {"username": ana.username, "password": canary.password(ana.username)}
        sign_ins = [lambda form=form: api_client.post("/token", data=form)] * 6
        *answers, _ = at_once(*sign_ins, lambda ana=ana: change_password(ana))
        for answer in answers:
            assert answer.status_code == 401 or not works(api_client, answer.json())

"""Sessions: opened by a sign-in, carried on by refresh tokens that are good once, and ended."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from jose import jwt

from tests import canary
from tests.conftest import Client, sign_in
from tests.test_cli import command, query
from tests.test_counters import at_once


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


def test_a_spent_token_ends_its_session(api_client, api_client_user1, caplog):
    other = sign_in(api_client, "user1")
    first = sign_in(api_client, "user1")
    second = refresh(api_client, first).json()
    assert refresh(api_client, first).status_code == 401
    assert "refresh token reused" in caplog.messages
    assert not works(api_client, first)
    assert not works(api_client, second)
    assert refresh(api_client, second).status_code == 401
    assert works(api_client, other)


def test_of_many_refreshes_at_once_one_succeeds(api_client, api_client_user1):
    for _ in range(3):
        tokens = sign_in(api_client, "user1")
        responses = at_once(*[lambda tokens=tokens: refresh(api_client, tokens)] * 20)
        assert sorted(response.status_code for response in responses) == [200] + [401] * 19


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
    fresh = sign_in(api_client, "user1")  # which sweeps what has expired
    assert works(api_client, fresh)
    assert query("SELECT count(*) FROM session") == [(1,)]


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


def test_logout(api_client, api_client_user1):
    tokens = sign_in(api_client, "user1")
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert api_client.post("/logout", headers=headers).status_code == 204
    assert api_client.post("/logout", headers=headers).status_code == 401
    assert not works(api_client, tokens)
    assert refresh(api_client, tokens).status_code == 401
    assert api_client_user1.get("/user/me/").status_code == 200


def change_password(client: Client) -> None:
    old, new = canary.password(client.username), canary.password("someone new")
    body = {"current_password": old, "new_password": new}
    assert client.put("/user/me/password/", json=body).status_code == 204


def set_password(client: Client) -> None:
    command("set-password", client.username, stdin="new\nnew\n")


def delete_account(client: Client) -> None:
    assert client.delete("/user/me/").status_code == 204


def disable(client: Client) -> None:
    from tests.test_admin import superuser

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

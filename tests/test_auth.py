"""Signing in, and what the tokens open."""

import pytest
from jose import jwt

from tests import canary
from tests.helpers import Client, sign_in


def claims(token: str) -> dict:
    return jwt.get_unverified_claims(token)


def test_token(api_client, api_client_user1):
    body = sign_in(api_client, "user1")
    assert set(body) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert body["token_type"] == "bearer"
    assert body["expires_in"] == 30 * 60
    access, refresh = claims(body["access_token"]), claims(body["refresh_token"])
    assert access["sub"] == refresh["sub"] == str(api_client_user1.id)
    assert access["scope"] == "access_token"
    assert access["fresh"] is True
    assert refresh["scope"] == "refresh_token"
    assert refresh["exp"] - access["exp"] == pytest.approx(570 * 60, abs=2)


@pytest.mark.parametrize(("username", "password"), [("user1", "wrong"), ("nobody", "nobody")])
def test_token_refuses(api_client, api_client_user1, username, password):
    response = api_client.post("/token", data={"username": username, "password": password})
    assert response.status_code == 401
    assert response.json()["detail"] == "Incorrect username or password"
    assert response.headers["www-authenticate"] == "Bearer"


def test_token_takes_the_workshops_form(api_client, api_client_user1):
    password = canary.password("user1").replace(" ", "+")
    form = f"grant_type=&username=user1&password={password}&scope=&client_id=&client_secret="
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert api_client.post("/token", content=form, headers=headers).status_code == 200


def test_names_have_no_case(api_client, sign_up):
    sign_up("Ana")
    assert api_client.get("/user/aNA/").json()["username"] == "Ana"
    assert sign_in(api_client, "ANA", canary.password("Ana"))


def test_refresh_token(api_client, api_client_user1):
    tokens = sign_in(api_client, "user1")
    response = api_client.post("/refresh_token", json={"refresh_token": tokens["refresh_token"]})
    assert response.status_code == 200
    body = response.json()
    assert set(body) == set(tokens)
    assert claims(body["access_token"])["fresh"] is False
    client = Client(api_client, body["access_token"])
    assert client.get("/user/me/").json()["username"] == "user1"


def test_each_token_has_its_place(api_client, api_client_user1):
    tokens = sign_in(api_client, "user1")
    wrong_way = {"Authorization": f"Bearer {tokens['refresh_token']}"}
    assert api_client.get("/user/me/", headers=wrong_way).status_code == 401
    response = api_client.post("/refresh_token", json={"refresh_token": tokens["access_token"]})
    assert response.status_code == 401
    assert response.json() == {"detail": "Could not validate credentials"}


def test_a_refreshed_token_does_not_delete_the_account(api_client, api_client_user1):
    tokens = sign_in(api_client, "user1")
    body = api_client.post("/refresh_token", json={"refresh_token": tokens["refresh_token"]}).json()
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert api_client.delete("/user/me/", headers=headers).status_code == 401
    assert api_client_user1.delete("/user/me/").status_code == 204


def test_a_name_taken_again_does_not_revive_a_token(api_client, sign_up):
    old = sign_up("ana")
    refresh_token = sign_in(api_client, "ana")["refresh_token"]
    assert old.delete("/user/me/").status_code == 204
    sign_up("ana")
    assert old.get("/user/me/").status_code == 401
    response = api_client.post("/refresh_token", json={"refresh_token": refresh_token})
    assert response.status_code == 401


def test_not_authenticated(api_client):
    response = api_client.get("/user/me/")
    assert response.status_code == 401
    assert response.json() == {"detail": "Not authenticated"}
    assert response.headers["www-authenticate"] == "Bearer"


def test_the_hashes_of_a_workshop_database_work_and_are_upgraded(api_client, api_client_user1):
    from passlib.hash import bcrypt
    from sqlmodel import Session, col, select, update

    from pamps.db import engine
    from pamps.models import User

    old = bcrypt.using(rounds=4).hash("lalala")
    with Session(engine) as session:
        change = update(User).where(col(User.id) == api_client_user1.id).values(password=old)
        session.exec(change)
        session.commit()
        sign_in(api_client, "user1", "lalala")
        assert session.exec(select(User.password)).one().startswith("$argon2id$")
        sign_in(api_client, "user1", "lalala")


def test_passwords_are_stored_as_hashes_only(api_client_user1):
    from sqlalchemy import text
    from sqlalchemy.exc import IntegrityError
    from sqlmodel import Session, select

    from pamps.db import engine
    from pamps.models import User

    with Session(engine) as session:
        user = session.exec(select(User)).one()
        assert user.password.startswith("$argon2id$")
        assert user.password not in repr(user)
    for plain in ("lalala", "$ecret"):
        with engine.begin() as connection, pytest.raises(IntegrityError, match="ck_user_password"):
            connection.execute(text('UPDATE "user" SET password = :plain'), {"plain": plain})

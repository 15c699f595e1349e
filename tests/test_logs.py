"""What is logged, and that an error that nobody expected is a 500 that the log explains."""

import pytest
from fastapi.testclient import TestClient

from tests import canary
from tests.helpers import Client, sign_in


@pytest.fixture
def careless(api_client: Client) -> TestClient:
    """A client of the API that sees a 500 as one, and not as an exception."""
    return TestClient(api_client.app, raise_server_exceptions=False)


def test_sign_ins(api_client, api_client_user1, caplog):
    sign_in(api_client, "user1")
    api_client.post("/token", data={"username": "user1", "password": "wrong"})
    api_client.post("/token", data={"username": canary.WORD, "password": "x"})
    known, unknown = [r for r in caplog.records if r.message == "sign-in failed"]
    assert (known.user_id, known.address) == (api_client_user1.id, "testclient")
    assert unknown.user_id is None  # and not the name, where some people type their password
    assert [r for r in caplog.records if r.message == "sign-in"][-1].user_id == known.user_id


def test_an_unexpected_error(careless, api_client_user1, monkeypatch, caplog):
    from pamps.db import Query

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("only the log knows")

    token = api_client_user1.headers["Authorization"]
    for method in ("all", "first"):
        monkeypatch.setattr(Query, method, fail)
    for path in ("/post/", "/user/nobody/"):
        response = careless.get(path, headers={"Authorization": token})
        assert response.status_code == 500
        number = response.headers["x-request-id"]
        detail = f"Internal server error; the log says more under {number}"
        assert response.json() == {"detail": detail}
        assert response.headers["x-content-type-options"] == "nosniff"
    assert "ZeroDivisionError: only the log knows" in caplog.text


def test_a_row_is_not_in_an_error(api_client_user1):
    """PostgreSQL shows the whole row that breaks a rule, and errors are logged."""
    from sqlalchemy import text
    from sqlalchemy.exc import IntegrityError

    from pamps.db import engine

    with (
        pytest.raises(IntegrityError, match="ck_user_counts") as error,
        engine.begin() as connection,
    ):
        connection.execute(text('UPDATE "user" SET post_count = -1'))
    for shown in (error.value, error.value.orig):
        canary.assert_unseen(str(shown) + repr(shown))
        assert "user1@pamps.com" not in str(shown)


def test_the_canary_sings(watch):
    """What all other tests rely on: a secret in the log is noticed, wherever it hides."""
    import logging

    logger = logging.getLogger("pamps.test")
    before = len(watch.leaks)
    logger.warning("said %s", canary.WORD)
    logger.warning("said", extra={"password": canary.password("x")})
    try:
        raise ValueError(canary.WORD)
    except ValueError:
        logger.exception("said")
    logger.warning("nothing")
    assert len(watch.leaks) == before + 3
    del watch.leaks[before:]


def test_nothing_shows_a_secret():
    """Neither the repr of a request nor the error about one."""
    from pydantic import ValidationError

    from pamps.models.password import NewPassword, PasswordChange
    from pamps.models.user import UserRequest
    from pamps.routes.auth import RefreshToken, TokenRequest

    secret = canary.WORD
    user = {"email": "a@pamps.com", "username": "a", "password": secret}
    for request in (
        UserRequest(**user),
        PasswordChange(current_password=secret, new_password=secret),
        TokenRequest(username="a", password=secret, refresh_token=secret),
        RefreshToken(refresh_token=secret),
    ):
        canary.assert_unseen(repr(request) + str(request))
    for model in (NewPassword, UserRequest):
        with pytest.raises(ValidationError) as error:
            model(**user | {"email": 1, "password": secret * 100})
        canary.assert_unseen(str(error.value))

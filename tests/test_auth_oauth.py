"""`POST /token` as OAuth 2.0 clients of others know it (RFC 6749)."""

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client

from tests import canary
from tests.helpers import sign_in


def test_grant_type_refresh_token(api_client, api_client_user1):
    tokens = sign_in(api_client, "user1")
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    response = api_client.post("/token", data=form)
    assert response.status_code == 200
    assert set(response.json()) == set(tokens)
    assert response.headers["cache-control"] == "no-store"
    form["refresh_token"] = response.json()["access_token"]
    assert api_client.post("/token", data=form).status_code == 401


@pytest.mark.parametrize(
    ("form", "status", "error", "description"),
    [
        ({"username": "user1", "password": "x"}, 401, "invalid_grant", "Incorrect username or"),
        (
            {"grant_type": "refresh_token", "refresh_token": "x"},
            401,
            "invalid_grant",
            "Could not validate credentials",
        ),
        ({"grant_type": "refresh_token"}, 422, "invalid_request", "refresh_token: Field required"),
        ({"username": "user1"}, 422, "invalid_request", "password: Field required"),
        ({"grant_type": "magic"}, 422, "unsupported_grant_type", "grant_type: Input should be"),
        ({"username": "x" * 70_000}, 413, "invalid_request", "Content Too Large"),
    ],
)
def test_errors(api_client, api_client_user1, form, status, error, description):
    response = api_client.post("/token", data=form)
    body = response.json()
    assert response.status_code == status
    assert set(body) == {"detail", "error", "error_description"}
    assert body["error"] == error
    assert body["error_description"].startswith(description)
    assert response.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in response.headers) == (status == 401)


def test_only_tokens_are_answered_so(api_client):
    response = api_client.post("/refresh_token", json={"refresh_token": "x"})
    assert response.json() == {"detail": "Could not validate credentials"}
    assert response.headers["cache-control"] == "no-store"
    assert api_client.get("/post/").headers["cache-control"] == "no-cache"


def test_an_unmodified_client(api_client, api_client_user1):
    """authlib's: it signs in, is refreshed without being told, and is refused after logout."""
    seen = []
    client = OAuth2Client(
        token_endpoint="http://testserver/token",
        update_token=lambda token, refresh_token=None, access_token=None: seen.append(token),
        base_url="http://testserver",
        transport=api_client._transport,
    )
    password = canary.password("user1")
    first = client.fetch_token(username="user1", password=password, grant_type="password")
    assert client.get("/user/me/").json()["username"] == "user1"
    assert seen == []
    client.token = first | {"expires_at": 1}  # as if it had expired
    assert client.get("/user/me/").json()["username"] == "user1"
    assert seen[0]["access_token"] != first["access_token"]
    assert client.post("/post/", json={"text": "x"}).status_code == 201
    assert client.post("/logout").status_code == 204
    assert client.get("/user/me/").status_code == 401
    client.token = seen[0] | {"expires_at": 1}
    with pytest.raises(OAuthError, match="invalid_grant: Could not validate credentials"):
        client.get("/user/me/")

"""Every route as an anonymous caller, another user, and the owner of what it is about."""

import pytest

from tests import canary
from tests.helpers import sign_in

# Anonymous, another user, the owner. The owner calls last: some of these routes delete.
STATUS = {
    "POST /token": (200, 200, 200),
    "POST /refresh_token": (200, 200, 200),
    "POST /logout": (204, 204, 204),  # who has a token of a session may end it
    "GET /user/": (200, 200, 200),
    "POST /user/": (201, 201, 201),
    "GET /user/timeline": (401, 200, 200),
    "GET /user/me/": (401, 200, 200),
    "PATCH /user/me/": (401, 200, 200),
    "DELETE /user/me/": (401, 204, 204),
    "PUT /user/me/password/": (401, 204, 204),
    "GET /user/me/sessions/": (401, 200, 200),
    "DELETE /user/me/sessions/{session_id}/": (401, 404, 204),
    "POST /user/follow/{user_id}": (401, 201, 400),
    "DELETE /user/follow/{user_id}": (401, 204, 204),
    "GET /user/{username}/": (200, 200, 200),
    "DELETE /user/{username}/": (401, 403, 403),
    "POST /user/{username}/disable/": (401, 403, 403),
    "DELETE /user/{username}/disable/": (401, 403, 403),
    "GET /user/{username}/followers/": (200, 200, 200),
    "GET /user/{username}/following/": (200, 200, 200),
    "GET /post/": (200, 200, 200),
    "POST /post/": (401, 201, 201),
    "GET /post/user/{username}/": (200, 200, 200),
    "GET /post/likes/{username}/": (200, 200, 200),
    "GET /post/{post_id}/": (200, 200, 200),
    "GET /post/{post_id}/replies/": (200, 200, 200),
    "PATCH /post/{post_id}/": (401, 403, 200),
    "DELETE /post/{post_id}/": (401, 403, 204),
    "POST /post/{post_id}/like/": (401, 201, 201),
    "DELETE /post/{post_id}/like/": (401, 204, 204),
    "GET /post/{post_id}/likes/": (200, 200, 200),
}


def test_the_table_has_every_route(api_client):
    paths = api_client.get("/openapi.json").json()["paths"]
    documented = {f"{method.upper()} {path}" for path in paths for method in paths[path]}
    assert documented == set(STATUS)


@pytest.mark.parametrize("route", STATUS)
def test_access(api_client, sign_up, route):
    owner, other = sign_up("owner"), sign_up("other")
    post = owner.write()
    method, path = route.split()
    session_id = owner.get("/user/me/sessions/").json()[0]["id"]
    ids = {"user_id": owner.id, "post_id": post["id"], "session_id": session_id}
    path = path.format(username="owner", **ids)
    for number, client in enumerate((api_client, other, owner)):
        new = f"new{number}"
        user = {"username": new, "password": "x", "email": f"{new}@pamps.com"}
        tokens = sign_in(api_client, "owner")
        body = {
            "refresh_token": tokens["refresh_token"],
            "text": "x",
            "new_password": canary.password("owner"),
        }
        body["current_password"] = canary.password("other" if client is other else "owner")
        body |= {"bio": "x"} if path == "/user/me/" else user
        form = {"username": "owner", "password": canary.password("owner")}
        content = {"data": form} if path == "/token" else {"json": body}
        response = client.request(method, path, **content)
        assert response.status_code == STATUS[route][number], (number, response.text)
        if "email" in response.text:
            assert path == "/user/me/"
        assert "argon2" not in response.text

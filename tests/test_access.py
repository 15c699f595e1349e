"""Every route as an anonymous caller, another user, and the owner of what it is about."""

import pytest

# Anonymous, another user, the owner. The owner calls last: some of these routes delete.
STATUS = {
    "POST /token": (200, 200, 200),
    "POST /refresh_token": (200, 200, 200),
    "GET /user/": (200, 200, 200),
    "POST /user/": (201, 201, 201),
    "GET /user/timeline": (401, 200, 200),
    "GET /user/me/": (401, 200, 200),
    "PATCH /user/me/": (401, 200, 200),
    "DELETE /user/me/": (401, 204, 204),
    "POST /user/follow/{user_id}": (401, 201, 400),
    "DELETE /user/follow/{user_id}": (401, 204, 204),
    "GET /user/{username}/": (200, 200, 200),
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
    path = path.format(user_id=owner.id, username="owner", post_id=post["id"])
    sign_in = {"username": "owner", "password": "owner"}
    refresh_token = api_client.post("/token", data=sign_in).json()["refresh_token"]
    for number, client in enumerate((api_client, other, owner)):
        new = f"new{number}"
        user = {"username": new, "password": new, "email": f"{new}@pamps.com"}
        body = {"refresh_token": refresh_token, "text": "x"}
        body |= {"bio": "x"} if path == "/user/me/" else user
        content = {"data": sign_in} if path == "/token" else {"json": body}
        response = client.request(method, path, **content)
        assert response.status_code == STATUS[route][number], (number, response.text)
        if "email" in response.text:
            assert path == "/user/me/"
        assert "argon2" not in response.text

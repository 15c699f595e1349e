"""Input that is no good: an answer that says what and where, nothing stored, and never a 500."""

import json

import pytest

USER = {"email": "a@pamps.com", "username": "ana", "password": "lalala"}
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BODIES = {
    ("POST", "/user/"): USER | {"avatar": "x", "bio": "x"},
    ("PATCH", "/user/me/"): {"email": "a@pamps.com", "avatar": "x", "bio": "x"},
    ("POST", "/post/"): {"text": "x", "parent_id": 1},
    ("PATCH", "/post/{id}/"): {"text": "x"},
    ("POST", "/refresh_token"): {"refresh_token": "x"},
}
BAD_STRINGS = [b'"a\\u0000b"', b'"\\ud800"', b'"\xed\xa0\x80"', b"NaN", b"Infinity", b"true", b"1"]
BAD_STRINGS += [b"[]", b"{}", b"1" + b"0" * 400, b"1" + b"0" * 5000, b'"' + b"x" * 60_000 + b'"']
BAD_STRINGS += [b"[" * 20_000 + b"]" * 20_000]
BAD_NUMBERS = [b'"1"', b"true", b"1.5", b"9223372036854775808", b"NaN", b"1e400", b"[]"]
BAD_NUMBERS += [b"1" + b"0" * 400, b"-9223372036854775809", b"1" + b"0" * 5000]
CASES = [
    (method, path, field, bad)
    for (method, path), body in BODIES.items()
    for field, value in body.items()
    for bad in (BAD_NUMBERS if isinstance(value, int) else BAD_STRINGS)
]


def assert_told(response, sent: bytes = b"") -> None:
    assert response.status_code == 422, response.text
    detail = response.json()["detail"]
    assert detail
    for item in detail:
        assert set(item) == {"type", "loc", "msg"}
    assert len(sent) < 4 or sent not in response.content


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_every_field_of_every_body(api_client_user1, method, path):
    url = path.format(id=api_client_user1.write()["id"])
    for case in CASES:
        if case[:2] != (method, path):
            continue
        _, _, field, bad = case
        fields = {**BODIES[method, path], field: "@@"}
        body = json.dumps(fields).encode().replace(b'"@@"', bad)
        response = api_client_user1.request(method, url, content=body, headers=JSON)
        if (path, field) == ("/refresh_token", "refresh_token") and bad.startswith(b'"xxx'):
            assert response.status_code == 401
        else:
            assert_told(response, bad)


@pytest.mark.parametrize(("method", "path"), BODIES)
@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"null", b"\xff", b'"\\ud800"', b"[" * 30_000])
def test_bodies_that_are_no_objects(api_client_user1, method, path, body):
    url = path.format(id=api_client_user1.write()["id"])
    assert_told(api_client_user1.request(method, url, content=body, headers=JSON))


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"username=a",
        b"username=%00&password=x",
        b"username=a&password=%00",
        b"\xff=\xff",
        b"&".join(b"a%d=1" % n for n in range(2000)),
    ],
)
def test_bad_forms(api_client, form):
    assert_told(api_client.post("/token", content=form, headers=FORM))


def test_bad_multipart(api_client):
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        response = api_client.post("/token", content=b"--x\r\nbad", headers={"Content-Type": kind})
        assert_told(response)


@pytest.mark.parametrize(
    "post_id",
    ["x", "1.0", "+1", "%201", "1.5", "9223372036854775808", "1" + "0" * 400, "%00", "%D9%A1"],
)
def test_ids(api_client_user1, post_id):
    calls = [("GET", "/post/{}/"), ("GET", "/post/{}/replies/"), ("GET", "/post/{}/likes/")]
    calls += [("POST", "/post/{}/like/"), ("DELETE", "/post/{}/like/"), ("DELETE", "/post/{}/")]
    calls += [("POST", "/user/follow/{}"), ("DELETE", "/user/follow/{}"), ("PATCH", "/post/{}/")]
    for method, path in calls:
        body = {"text": "x"} if method == "PATCH" else None
        assert_told(api_client_user1.request(method, path.format(post_id), json=body))


def test_names_in_paths(api_client):
    for path in ("/user/{}/", "/user/{}/followers/", "/post/user/{}/", "/post/likes/{}/"):
        assert_told(api_client.get(path.format("a%00b")))


@pytest.mark.parametrize(
    "username",
    ["", "x" * 31, "a b", "a-b", "ana\n", "\u0430na", "\u212aim", "ａｎａ", "ana\u200b", "me"],
)
def test_usernames(api_client, username):
    response = api_client.post("/user/", json=USER | {"username": username})
    assert_told(response)
    assert response.json()["detail"][0]["loc"] == ["body", "username"]


@pytest.mark.parametrize(
    "email", ["", "x", "a@b", "a b@pamps.com", "a@pamps..com", "<x>@pamps.com", f"{'x' * 250}@a.bc"]
)
def test_emails(api_client, email):
    response = api_client.post("/user/", json=USER | {"email": email})
    assert_told(response, email.encode())
    assert response.json()["detail"][0]["loc"] == ["body", "email"]


def test_a_password_is_not_echoed(api_client):
    response = api_client.post("/user/", json={"password": "very secret", "username": "é"})
    assert_told(response, b"very secret")


def test_body_over_64_kib(api_client_user1):
    for path, headers in (("/post/", JSON), ("/user/", JSON), ("/token", FORM)):
        large = b" " * 64 * 1024 + b"x"

        def chunks(large: bytes = large):
            yield large

        for content in (large, chunks()):  # the second comes without a Content-Length
            response = api_client_user1.post(path, content=content, headers=headers)
            assert response.status_code == 413, path
            assert response.json()["detail"] == "Content Too Large"
    exactly = json.dumps({"text": "x"}).encode().ljust(64 * 1024)
    assert api_client_user1.post("/post/", content=exactly, headers=JSON).status_code == 201


def test_what_is_not_there(api_client):
    assert api_client.get("/nothing").json() == {"detail": "Not Found"}
    response = api_client.put("/post/")
    assert response.status_code == 405
    assert response.json() == {"detail": "Method Not Allowed"}
    assert response.headers["allow"] == "GET, POST"
    assert api_client.post("/user/me/").headers["allow"] == "DELETE, GET, PATCH"

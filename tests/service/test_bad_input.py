"""Input that is no good: an answer that says what and where, nothing stored, and never a 500."""

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests import canary
from tests.helpers import Client, assert_told, command
from tests.routes import LISTS, ROUTES, Route, content, values

USER = {"email": "a@pamps.com", "username": "ana", "password": "lalala"}
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MEGABYTES = 20_000_000
DEEP = [b"[" * 20_000 + b"]" * 20_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000]
HUGE = [b"1" + b"0" * 400, b"1" + b"0" * 5000, b"-1" + b"0" * 400, b"1e400", b"NaN", b"-Infinity"]
OTHER = [b"{}", b"[]", b'["x"]', *HUGE, *DEEP]
# What is bad for a value of that kind in JSON, ...
IN_JSON = {
    "string": [b'"a\\u0000b"', b'"\\ud800"', b'"\\udfff\\ud800"', b'"\xed\xa0\x80"', b'"\xff"']
    + [b"true", b"1", b"-1", b"9223372036854775808", *OTHER],
    "integer": [b'"1"', b"true", b"false", b"1.5", b"9223372036854775808", b"-9223372036854775809"]
    + [b'"x"', b'""', *OTHER],
}
# ... in an address or a form, ...
IN_TEXT = {
    "string": ["%00", "a%00b"],
    "integer": ["x", "", "%00", "1.0", "1.5", "+1", "%201", "1_0", "0x1", "1e3", "true", "NaN"]
    + ["9223372036854775808", "-9223372036854775809", "1" + "0" * 400, "%D9%A1", "%ED%A0%80"],
    "boolean": ["x", "2", "%00", "1" + "0" * 400, "NaN"],
    "enum": ["x", "%00", "OLDEST", "1" + "0" * 400],
}
# ... and besides for one of these.
BAD_QUERY = {"limit": ["0", "-1", "101"], "cursor": ["0", "-1"], "newer_than": ["-1"]}
TOO_LONG = {"email", "username", "password", "new_password", "avatar", "bio", "text"}


def kind(schema: dict) -> str:
    if "enum" in schema or "const" in schema:
        return "enum"
    return schema.get("type") or kind(schema["anyOf"][0])


class Operation(NamedTuple):
    """A route, and what the documentation says of its parameters and the fields of its body."""

    route: Route
    parameters: list[dict]
    fields: dict[str, dict]
    media: str


def operations(client: Client) -> Iterator[Operation]:
    document = client.get("/openapi.json").json()
    for route in ROUTES:
        operation = document["paths"][route.path][route.method.lower()]
        ((media, body),) = operation.get("requestBody", {}).get("content", {"": {}}).items()
        schema = body.get("schema", {})
        schema = schema.get("anyOf", [schema])[0]  # of one that may be left out
        name = schema.get("$ref", "").split("/")[-1]
        fields = document["components"]["schemas"].get(name, {}).get("properties", {})
        parameters = [p for p in operation["parameters"] if "$ref" not in p]
        assert set(route.body or {}) <= set(fields)
        yield Operation(route, parameters, fields, media)


@pytest.fixture
def known(api_client_user1) -> dict[str, object]:
    """What paths and bodies stand for: things of user1."""
    return values(api_client_user1, api_client_user1.write()["id"])


def test_every_parameter_of_every_path(api_client_user1, known):
    command("promote", "user1")  # else some routes say that they are not for him
    seen = set()
    for route, parameters, _, _ in operations(api_client_user1):
        body = content(route, known)
        for parameter in parameters:
            if parameter["in"] != "path":
                continue
            name = parameter["name"]
            for bad in IN_TEXT[kind(parameter["schema"])]:
                path = route.path.format(**known | {name: bad or "%20"})
                response = api_client_user1.request(route.method, path, **body)
                if "%00" in bad:
                    assert response.status_code == 404
                else:
                    assert_told(response)
            # Too long for any name or number, and yet it may be looked for.
            path = route.path.format(**known | {name: "9" * 60_000})
            assert api_client_user1.request(route.method, path, **body).status_code in (404, 422)
            seen.add(route.name)
    assert seen == {route.name for route in ROUTES if "{" in route.path}


def test_every_parameter_of_every_query(api_client_user1, known):
    seen = set()
    for route, parameters, _, _ in operations(api_client_user1):
        path = route.path.format(**known)
        for parameter in parameters:
            if parameter["in"] != "query":
                continue
            name = parameter["name"]
            bads = IN_TEXT[kind(parameter["schema"])].copy()
            if kind(parameter["schema"]) == "integer":
                bads += BAD_QUERY.get(name, [])
            for bad in [*bads, "9" * 60_000]:
                response = api_client_user1.request(route.method, f"{path}?{name}={bad}")
                assert response.status_code == 422, (route.name, name, bad[:20])
                assert_told(response, bad.encode())
                assert response.json()["detail"][0]["loc"] == ["query", name]
            seen.add((route.name, name))
        if route.method == "GET":
            strange = f"{route.query or '?'}&x=%00&%00=1&limit%00=0&x=" + "x" * 60_000
            assert api_client_user1.request(route.asked, path + strange).status_code == 200
    assert {(route.name, name) for route in LISTS for name in ("limit", "cursor")} <= seen


def test_every_field_of_every_body(api_client_user1, known):
    seen = set()
    for route, _, fields, media in operations(api_client_user1):
        if media != "application/json":
            continue
        path, good = route.path.format(**known), content(route, known)["json"]
        for name, schema in fields.items():
            bads = IN_JSON[kind(schema)].copy()
            if name in TOO_LONG:
                bads.append(b'"' + b"x" * 60_000 + b'"')
            for bad in bads:
                body = json.dumps(good | {name: "@@"}).encode().replace(b'"@@"', bad)
                response = api_client_user1.request(route.method, path, content=body, headers=JSON)
                assert_told(response, bad)
            seen.add((route.name, name))
    assert {(route.name, n) for route in ROUTES if not route.form for n in route.body or {}} <= seen
    assert api_client_user1.ids("/post/") == [known["post_id"]]
    users = [user["username"] for user in api_client_user1.get("/user/").json()]
    assert [name for name in users if not name.startswith("mailed")] == ["user1"]


def test_every_field_of_every_form(api_client_user1, known):
    values = {"username": "ana", "password": "x", "refresh_token": "x", "grant_type": "password"}
    (operation,) = [found for found in operations(api_client_user1) if found.route.form]
    for name, schema in operation.fields.items():
        for grant in ("password", "refresh_token"):
            for bad in IN_TEXT[kind(schema)]:
                fields = values | {"grant_type": grant, name: "@@"}
                form = "&".join(f"{key}={value}" for key, value in fields.items())
                form = form.replace("@@", bad)
                path = operation.route.path
                response = api_client_user1.post(path, content=form, headers=FORM)
                assert_told(response)
                assert response.json()["error"] in ("invalid_request", "unsupported_grant_type")


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b"null", b"1", b"\xff", b'"\\ud800"', b"{", b'{"a":}', *OTHER]
)
def test_bodies_that_are_no_objects(api_client_user1, known, body):
    for route in ROUTES:
        if route.body and not route.form and body not in route.also_accepts:
            path = route.path.format(**known)
            assert_told(api_client_user1.request(route.method, path, content=body, headers=JSON))


def test_fields_that_are_unknown(api_client_user1):
    """They are ignored, whatever they are called and whatever is in them."""
    strange = (
        b'{"text": "x", "\\u0000": 1, "\\ud800": "\\ud800", "id": 1e400, "__class__": {}, "deep": '
    )
    body = strange + DEEP[0][:500] + DEEP[0][-500:] + b"}"
    response = api_client_user1.post("/post/", content=body, headers=JSON)
    assert response.status_code == 201


def test_every_body_is_limited(api_client_user1, known):
    """To 64 KiB, whether it says how long it is or not."""
    chunk = b"x" * 60_000

    def chunks() -> Iterator[bytes]:
        for _ in range(MEGABYTES // len(chunk)):
            yield chunk

    for route, _, _, media in operations(api_client_user1):
        if route.body:
            path = route.path.format(**known)
            for content in (chunk * 20, chunks(), b" " * 64 * 1024 + b"x"):
                headers = {"Content-Type": media}
                response = api_client_user1.request(
                    route.method, path, content=content, headers=headers
                )
                assert response.status_code == 413, path
                assert response.json()["detail"] == "Content Too Large"
    exactly = json.dumps({"text": "x"}).encode().ljust(64 * 1024)
    assert api_client_user1.post("/post/", content=exactly, headers=JSON).status_code == 201


def test_headers_of_every_route(api_client_user1, known):
    """Credentials that are none are a 401 wherever a user is asked for, or may be."""
    good = api_client_user1.headers["Authorization"]
    document = api_client_user1.get("/openapi.json").json()
    for route in ROUTES:
        path = route.path.format(**known)
        security = document["paths"][route.path][route.method.lower()]["security"]
        assert (security != [] and {} not in security) == route.secured
        body = {"json": {}} if route.body else {}
        twice = [("Authorization", good), ("Authorization", good)]
        values = (b"", b"Basic eDp4", b"Bearer", b"Bearer \xff", b"Bearer " + b"x" * 100_000)
        for headers in (twice, *({"Authorization": value} for value in values)):
            response = api_client_user1.request(route.method, path, headers=headers, **body)
            assert (response.status_code == 401) == (security != []), (route.name, response.text)
        for media in ("text/plain", "application/xml", "x", "application/json; charset=x"):
            if route.body:
                assert_told(
                    api_client_user1.request(
                        route.method, path, content=b"\xff\xfe", headers={"Content-Type": media}
                    )
                )


def test_a_user_agent_is_just_a_text(api_client, api_client_user1):
    form = {"username": "user1", "password": canary.password("user1")}
    for agent in (b"a\0b", b"x" * 1_000_000, b"", b"\xff\xfe"):
        response = api_client.post("/token", data=form, headers={"User-Agent": agent})
        assert response.status_code == 200
    agents = [item["user_agent"] for item in api_client_user1.get("/user/me/sessions/").json()]
    assert agents[1:4] == ["", "x" * 255, "ab"]


def test_hostile_text_costs_no_pattern_much(api_client_user1):
    """64 KiB for every pattern that text is compared with. One that backtracks takes for ever."""
    for hostile in ("a" * 60_000, "a@" * 30_000, "a." * 30_000, " " * 60_000, "-" * 60_000 + "x"):
        for path, body in (
            ("/user/", USER | {"email": hostile}),
            ("/user/", USER | {"username": hostile}),
            ("/user/", USER | {"password": hostile}),
            ("/post/", {"text": hostile}),
        ):
            assert_told(api_client_user1.post(path, json=body))
        short = hostile[-20_000:]  # as much as httpx sends when each blank is three characters
        assert api_client_user1.get(f"/user/{short}/").status_code == 404
        assert_told(api_client_user1.get(f"/post/{short}/"))
        headers = {"Authorization": f"Bearer {hostile}"}
        assert api_client_user1.get("/post/", headers=headers).status_code == 401


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


def test_a_password_is_not_echoed(api_client):
    response = api_client.post("/user/", json={"password": "very secret", "username": "é"})
    assert_told(response, b"very secret")


def test_what_is_not_there(api_client):
    assert api_client.get("/nothing").json() == {"detail": "Not Found"}
    response = api_client.put("/post/")
    assert response.status_code == 405
    assert response.json() == {"detail": "Method Not Allowed"}
    assert response.headers["allow"] == "GET, HEAD, POST"
    assert api_client.post("/user/me/").headers["allow"] == "DELETE, GET, HEAD, PATCH"


@pytest.mark.parametrize("character", ["%00", "%0A", "%0d", "%1b", "%7F", "%c2%85"])
def test_a_control_character_is_in_no_path(api_client, api_client_user1, character):
    paths = "/docs", "/openapi.json", "/post/", "/user/me/", "/user/user1/", "/health/live"
    for path in paths:
        for address in (path + character, path.replace("/", "/" + character, 1)):
            response = api_client_user1.get(address)
            assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})
    form = {"username": "user1", "password": canary.password("user1")}
    assert api_client.post(f"/token{character}", data=form).status_code == 404

"""The documentation page: what a stranger, or a generator of clients, needs to know."""

import base64
import hashlib
import re

import httpx
import pytest

from tests import canary
from tests.routes import READS, ROUTES


def operations(api_client) -> dict[str, dict]:
    paths = api_client.get("/openapi.json").json()["paths"]
    return {
        f"{method} {path}": operation
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


def test_docs_page(api_client):
    """Nothing of it comes from elsewhere, and its policy lets just its own script run."""
    page = api_client.get("/docs")
    assert page.status_code == 200
    (script,) = re.findall("<script>(.*?)</script>", page.text, re.DOTALL)
    assert "SwaggerUIBundle" in script
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = page.headers["content-security-policy"]
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy + page.text
    for address in re.findall('(?:src|href)="([^"]+)"', page.text):
        assert api_client.get(f"/{address}").status_code == 200
    assert api_client.get("/swagger/__init__.py").status_code == 404
    assert api_client.get("/redoc").status_code == 404


def test_headers(api_client):
    for path in ("/post/", "/nothing", "/post/x/", "/user/me/", "/docs", "/openapi.json"):
        headers = api_client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])
        assert "server" not in headers
    policy = api_client.get("/post/").headers["content-security-policy"]
    assert policy == "default-src 'none'; frame-ancestors 'none'"


def test_pages_of_other_origins_may_not_read(api_client):
    headers = {"Origin": "https://pamps.example", "Access-Control-Request-Method": "GET"}
    for response in (
        api_client.get("/post/", headers=headers),
        api_client.options("/post/", headers=headers),
    ):
        assert not [name for name in response.headers if name.startswith("access-control")]


def test_tags_are_described(api_client):
    document = api_client.get("/openapi.json").json()
    described = {tag["name"] for tag in document["tags"] if tag["description"]}
    used = {tag for operation in operations(api_client).values() for tag in operation["tags"]}
    assert used == described == {"auth", "user", "post", "live", "admin"}


def test_operations_are_named_and_explained(api_client):
    ids = [operation["operationId"] for operation in operations(api_client).values()]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", name) for name in ids)
    assert {"create_post", "login_for_access_token", "list_posts", "follow_user"} <= set(ids)
    for name, operation in operations(api_client).items():
        assert operation["summary"], name
        assert operation["description"].endswith("."), name


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_refusals_are_declared(api_client, route):
    operation = operations(api_client)[f"{route.method.lower()} {route.path}"]
    declared = set(operation["responses"])
    expected = {str(status) for status in (route.anonymous, route.other, route.owner)}
    expected |= {"429", "503"}
    if operation["security"]:
        expected.add("401")
    assert route.secured == (operation["security"] != [] and {} not in operation["security"])
    if "{" in route.path:
        expected |= {"404", "422"}
    if route.body:
        expected |= {"413", "422"}
    if route in READS:
        expected.add("304")
    if route.ids:
        expected.add("422")
    if route.method == "POST" and route.keyed:
        expected |= {"409", "422"}
    if route.if_match:
        expected.add("412")
    assert expected <= declared
    for code in declared - {"200", "201", "202", "204", "304", "422"}:
        schema = operation["responses"][code]["content"]["application/json"]["schema"]
        assert schema["$ref"].endswith("/OAuthError" if route.form else "/Error")


def test_authorize(api_client):
    document = api_client.get("/openapi.json").json()
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["flows"]["password"]["tokenUrl"] == "token"
    home = operations(api_client)["get /post/"]
    assert {} in home["security"]  # signing in is possible, not necessary
    assert {} not in operations(api_client)["post /post/"]["security"]
    assert operations(api_client)["get /user/"]["security"] == []


def test_limits_are_documented(api_client):
    schemas = api_client.get("/openapi.json").json()["components"]["schemas"]
    text = schemas["PostRequest"]["properties"]["text"]
    assert (text["minLength"], text["maxLength"]) == (1, 255)
    username = schemas["UserRequest"]["properties"]["username"]
    assert username["pattern"] == "^[A-Za-z0-9_]{1,30}$"


def test_headers_are_documented_where_they_are_sent(api_client, sign_up, monkeypatch):
    from pamps.config import settings

    ana = sign_up("ana")
    posts = [ana.write(str(n)) for n in range(2)]
    path = f"/post/{posts[0]['id']}/"
    monkeypatch.setitem(vars(settings.rate_limit), "enabled", True)
    tag = {"If-None-Match": ana.get(path).headers["ETag"]}
    answers = {
        "get /post/": api_client.get("/post/?limit=1"),
        "get /post/{post_id}/": ana.get(path, headers=tag),
        "post /post/": ana.post("/post/", json={"text": "x"}),
        "patch /post/{post_id}/": ana.patch(path, json={"text": "x"}),
        "delete /post/{post_id}/": ana.delete(path, headers={"If-Match": tag["If-None-Match"]}),
        "get /user/me/": api_client.get("/user/me/"),
    }
    statuses = [200, 304, 201, 200, 412, 401]
    assert [answer.status_code for answer in answers.values()] == statuses
    ours = {"Content-Type", "Content-Length", "Cache-Control", "Vary"}
    ours |= {"Content-Security-Policy", "X-Content-Type-Options"}
    for name, answer in answers.items():
        sent = set(answer.headers) - {header.lower() for header in ours}
        documented = operations(api_client)[name]["responses"][str(answer.status_code)]["headers"]
        assert {header.lower() for header in documented} == sent, name
    created = operations(api_client)["post /user/"]["responses"]["201"]["headers"]
    assert {"ETag", "Location"} <= set(created)
    for code in ("409", "429", "503"):
        headers = operations(api_client)["post /post/"]["responses"][code]["headers"]
        assert "Retry-After" in headers


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_conditions_and_keys_are_documented(api_client, route):
    parameters = api_client.get("/openapi.json").json()["components"]["parameters"]
    operation = operations(api_client)[f"{route.method.lower()} {route.path}"]
    references = [parameter.get("$ref", "") for parameter in operation["parameters"]]
    names = {parameters[text.split("/")[-1]]["name"] for text in references if text}
    conditional = {"If-Match"} if route.if_match else set()
    keyed = {"Idempotency-Key"} if route.keyed else set()
    read = {"If-None-Match"} if route in READS else set()
    assert names == {"GET": read, "POST": keyed}.get(route.method, conditional)


def test_bad_input_is_described_as_it_is(api_client):
    schemas = api_client.get("/openapi.json").json()["components"]["schemas"]
    answers = {
        "post /token": api_client.post("/token"),
        "post /user/": api_client.post("/user/", json={"username": []}),
        "post /post/": api_client.post("/post/", headers={"Idempotency-Key": "é".encode()}),
    }
    for name, answer in answers.items():
        assert answer.status_code == 422
        content = operations(api_client)[name]["responses"]["422"]["content"]
        schema = schemas[content["application/json"]["schema"]["$ref"].split("/")[-1]]
        assert set(answer.json()) == set(schema["properties"]) == set(schema["required"])
        item = schemas[schema["properties"]["detail"]["items"]["$ref"].split("/")[-1]]
        for told in answer.json()["detail"]:
            assert set(told) == set(item["properties"]) == set(item["required"])


def test_what_may_be_left_out_has_no_default(api_client):
    """Generators of typed clients take a default for a reason to ask for the field."""
    schemas = api_client.get("/openapi.json").json()["components"]["schemas"]
    for name, schema in schemas.items():
        for field, values in schema.get("properties", {}).items():
            assert "default" not in values, (name, field)
    assert "required" not in schemas["TokenRequest"]


def test_examples_work_as_they_stand(api_client):
    """In the order in which somebody tries them out."""
    document = api_client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]

    def example(schema: dict) -> dict:
        kind = schema.get("anyOf", [schema])[0]
        return schemas[kind["$ref"].split("/")[-1]]["examples"][0]

    def try_out(name: str) -> httpx.Response:
        method, path = name.split()
        operation = operations(api_client)[name]
        values = {p["name"]: p["example"] for p in operation["parameters"] if "example" in p}
        for media, body in operation.get("requestBody", {}).get("content", {}).items():
            content = {"json" if "json" in media else "data": example(body["schema"])}
            break
        else:
            content = {}
        where = path.format(**values | ids)
        return api_client.request(method, where, **content)

    ids: dict[str, int] = {}
    assert try_out("post /user/").status_code == 201
    token = try_out("post /token")
    assert token.status_code == 200
    assert "cookie" not in token.headers
    api_client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
    created = try_out("post /post/")
    assert created.status_code == 201
    assert created.json()["parent_id"] is None
    ids["post_id"] = created.json()["id"]  # which is 1 in an empty database
    for name, status in {
        "patch /post/{post_id}/": 200,
        "post /post/{post_id}/like/": 201,
        "patch /user/me/": 200,
        "get /user/{username}/": 200,
        "get /post/user/{username}/": 200,
        "get /post/likes/{username}/": 200,
        "get /user/{username}/followers/": 200,
        "put /user/me/password/": 204,
    }.items():
        assert try_out(name).status_code == status, name
    for path, operation in operations(api_client).items():
        for body in operation.get("requestBody", {}).get("content", {}).values():
            assert isinstance(example(body["schema"]), dict), path


def test_a_body_of_another_media_type(api_client, api_client_user1):
    """Who sends JSON where a form is read, or a form where JSON is, is told what to send."""
    form = {"username": "user1", "password": canary.password("user1")}
    refused = api_client.post("/token", json=form)
    assert refused.status_code == 422
    message = "Body should be a form: Content-Type: application/x-www-form-urlencoded"
    assert refused.json() == {
        "detail": [{"type": "media_type", "loc": ["body"], "msg": message}],
        "error": "invalid_request",
        "error_description": f"body: {message}",
    }
    (told,) = api_client_user1.post("/post/", data={"text": "x"}).json()["detail"]
    assert told["msg"] == "Body should be JSON: Content-Type: application/json"
    for client, path in ((api_client, "/token"), (api_client_user1, "/post/")):
        for told in client.post(path).json()["detail"]:
            assert told["msg"] == "Field required"
    headers = {"Content-Type": "application/vnd.pamps+json; charset=utf-8"}
    (told,) = api_client_user1.post("/post/", content=b"{}", headers=headers).json()["detail"]
    assert told["loc"] == ["body", "text"]

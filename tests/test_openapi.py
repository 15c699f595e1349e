"""The documentation page: what a stranger, or a generator of clients, needs to know."""

import base64
import hashlib
import re

ERRORS = {"get": set(), "post": {"413"}, "patch": {"413"}, "delete": set()}


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
    assert used == described == {"auth", "user", "post", "admin"}


def test_operations_are_named_and_explained(api_client):
    ids = [operation["operationId"] for operation in operations(api_client).values()]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch("[a-z_]+", name) for name in ids)
    for name, operation in operations(api_client).items():
        assert operation["summary"], name
        assert operation["description"].endswith("."), name


def test_refusals_are_declared(api_client):
    for name, operation in operations(api_client).items():
        declared = set(operation["responses"])
        method, path = name.split()
        expected = {"401"} if operation.get("security") else set()
        if re.search(r"\{(username|post_id|user_id|session_id)\}", path):
            expected.add("404")
        if "requestBody" in operation:
            expected |= {"413", "422"}
        if operation.get("parameters"):
            expected.add("422")
        if method in ("patch", "delete") and path == "/post/{post_id}/":
            expected.add("403")
        assert expected <= declared, name
        assert {"429", "503"} <= declared, name
        for code in declared - {"200", "201", "204", "422"}:
            schema = operation["responses"][code]["content"]["application/json"]["schema"]
            assert schema["$ref"].endswith("/OAuthError" if path == "/token" else "/Error")
    assert "409" in operations(api_client)["post /user/"]["responses"]


def test_authorize(api_client):
    document = api_client.get("/openapi.json").json()
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["flows"]["password"]["tokenUrl"] == "token"
    home = operations(api_client)["get /post/"]
    assert {} in home["security"]  # signing in is possible, not necessary
    assert {} not in operations(api_client)["post /post/"]["security"]
    assert "security" not in operations(api_client)["get /user/"]


def test_limits_are_documented(api_client):
    schemas = api_client.get("/openapi.json").json()["components"]["schemas"]
    text = schemas["PostRequest"]["properties"]["text"]
    assert (text["minLength"], text["maxLength"]) == (1, 255)
    username = schemas["UserRequest"]["properties"]["username"]
    assert username["pattern"] == "^[A-Za-z0-9_]{1,30}$"

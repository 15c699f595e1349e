"""The documentation page: what a stranger, or a generator of clients, needs to know."""

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
    page = api_client.get("/docs")
    assert page.status_code == 200
    assert "SwaggerUIBundle" in page.text


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
        for code in declared - {"200", "201", "204", "422"}:
            schema = operation["responses"][code]["content"]["application/json"]["schema"]
            assert schema["$ref"].endswith("/Error")
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

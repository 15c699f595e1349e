"""The OpenAPI document: what FastAPI makes of the routes, and what holds for all of them."""

import re
from typing import Any

from fastapi import FastAPI

from pamps.middleware.idempotency import SIGN_OUT_PATH

# What an answer means, wherever it is given.
DESCRIPTIONS = {
    "304": "Nothing has changed since the `ETag` in `If-None-Match`.",
    "400": "Nobody can do this to themselves.",
    "401": "Not signed in: there is no token, or it or the password is wrong or has expired.",
    "403": "The caller may not do this.",
    "404": "There is no such post, user or session.",
    "409": "The name or the e-mail address is taken.",
    "412": "What would be overwritten is not what the `ETag` in `If-Match` stands for.",
    "413": "The body is larger than 64 KiB.",
    "422": "Something in the request is wrong; `detail` says what and where.",
    "429": "Too many requests, or too many attempts. `Retry-After` says when to try again.",
    "503": "It cannot be done now. `Retry-After` says when to try again.",
}
IN_FLIGHT = "The first request with this `Idempotency-Key` is in flight: try again."


def _header(description: str, kind: str = "string") -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}}


HEADERS = {
    "ETag": _header("Stands for what the answer says: for `If-None-Match` and `If-Match`."),
    "Link": _header('`<reference>; rel="next"` while there are more, relative to this address.'),
    "Location": _header("Where it is from now on, relative to this address."),
    "RateLimit-Limit": _header("How many requests a caller may make in each window.", "integer"),
    "RateLimit-Remaining": _header("How many are left in this window.", "integer"),
    "RateLimit-Reset": _header("In how many seconds the next window begins.", "integer"),
    "Retry-After": _header("After how many seconds to try again.", "integer"),
    "WWW-Authenticate": _header("`Bearer`."),
    "X-Request-ID": _header("What the log calls this request."),
}
EVERYWHERE = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "X-Request-ID"]


def _parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    schema = {"type": "string", **schema}
    return {"name": name, "in": "header", "description": description, "schema": schema}


PARAMETERS = {
    "IfNoneMatch": _parameter("If-None-Match", "The `ETag` of what the client has: 304 if it is."),
    "IfMatch": _parameter("If-Match", "The `ETag` of what is to be overwritten: 412 if it is not."),
    "IdempotencyKey": _parameter(
        "Idempotency-Key",
        "Anything unique, such as a UUID. The request is done once, however often it is sent.",
        minLength=1,
        maxLength=255,
        pattern="^[!-~]([ -~]*[!-~])?$",
    ),
}
# Values for parameters of paths that exist once the examples of the bodies have been sent.
EXAMPLES = {"username": "ana", "post_id": 1, "user_id": 2, "session_id": 1}


def add_openapi(app: FastAPI) -> None:
    """Complete the document when it is first asked for."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            _complete(make())
        return make()

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> None:
    components, paths = document["components"], document["paths"]
    components["headers"], components["parameters"] = HEADERS, PARAMETERS
    schemas = components["schemas"]
    _describe_errors(schemas)
    for path, operations in paths.items():
        # What is made here has an address of its own if a path below shows one of its kind.
        below = re.compile(re.escape(path) + r"\{\w+\}/")
        makes = any("get" in paths[other] for other in paths if below.fullmatch(other))
        for method, operation in operations.items():
            operation.setdefault("security", [])  # says that it takes none
            takes_key = method == "post" and path != SIGN_OUT_PATH
            _complete_parameters(method, operation, takes_key)
            _complete_responses(method, operation["responses"], takes_key)
            _add_headers(method, operation["responses"], schemas, makes, takes_key)
            for media, content in operation.get("requestBody", {}).get("content", {}).items():
                for kind in content["schema"].get("anyOf", [content["schema"]]):
                    if "$ref" in kind:
                        _complete_request(media, schemas[_name(kind)])


def _name(reference: dict[str, Any]) -> str:
    return str(reference["$ref"].rpartition("/")[2])


def _describe_errors(schemas: dict[str, Any]) -> None:
    """Describe a 422 as it is: without the input, and at `/token` in OAuth's words too."""
    for name in ("input", "ctx"):
        schemas["ValidationError"]["properties"].pop(name, None)
    invalid, oauth = schemas["HTTPValidationError"], schemas["OAuthError"]
    invalid["required"] = ["detail"]
    schemas["OAuthValidationError"] = oauth | {
        "title": "OAuthValidationError",
        "properties": oauth["properties"] | invalid["properties"],
    }


def _complete_request(media: str, schema: dict[str, Any]) -> None:
    for name, field in schema["properties"].items():
        # Generators of typed clients take a field with a default for one that must be there.
        field.pop("default", None)
        if "form" in media and "enum" not in field:
            # Swagger UI asks for each field of a form, and would make something up.
            field["examples"] = [schema["examples"][0].get(name, "")]


def _complete_parameters(method: str, operation: dict[str, Any], takes_key: bool) -> None:
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        if parameter["in"] == "path":
            parameter["example"] = EXAMPLES[parameter["name"]]
        for kind in parameter["schema"].pop("anyOf", []):
            if kind["type"] != "null":  # which no address can say
                parameter["schema"] |= kind
    if method == "get":
        names = ["IfNoneMatch"]
    elif takes_key:
        names = ["IdempotencyKey"]
    else:
        names = ["IfMatch"] if "412" in operation["responses"] else []
    parameters.extend({"$ref": f"#/components/parameters/{name}"} for name in names)


def _complete_responses(method: str, responses: dict[str, Any], takes_key: bool) -> None:
    refused = responses["429"]["content"]
    is_oauth = _name(refused["application/json"]["schema"]) == "OAuthError"
    if method == "get":
        responses["304"] = {}
    if takes_key:
        responses.setdefault("422", {})
    if "422" in responses:
        kind = "OAuthValidationError" if is_oauth else "HTTPValidationError"
        schema = {"$ref": f"#/components/schemas/{kind}"}
        responses["422"]["content"] = {"application/json": {"schema": schema}}
    for code, response in responses.items():
        response["description"] = DESCRIPTIONS.get(code) or response["description"]
    if takes_key:
        taken = responses.setdefault("409", {"content": refused})
        taken["description"] = " ".join(filter(None, [taken.get("description"), IN_FLIGHT]))


def _add_headers(
    method: str,
    responses: dict[str, Any],
    schemas: dict[str, Any],
    makes: bool,
    takes_key: bool,
) -> None:
    for code, response in responses.items():
        names = [*EVERYWHERE]
        if code in ("429", "503") or (code == "409" and takes_key):
            names.append("Retry-After")
        if code == "401":
            names.append("WWW-Authenticate")
        if code == "304" or (code == "200" and method in ("get", "patch")):
            names.append("ETag")
        if code == "200" and method == "get" and _is_list(response, schemas):
            names.append("Link")
        if code == "201" and makes:
            names += ["ETag", "Location"]
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _is_list(response: dict[str, Any], schemas: dict[str, Any]) -> bool:
    """Say whether an answer is a list, or has one in it."""
    schema = response["content"]["application/json"]["schema"]
    fields = schemas[_name(schema)]["properties"].values() if "$ref" in schema else [schema]
    return any(field.get("type") == "array" for field in fields)

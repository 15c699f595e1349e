"""The OpenAPI document: FastAPI's, completed by what is the same for all routes."""

import re
from typing import Any

from fastapi import FastAPI

from pamps.middleware.idempotency import SIGN_OUT_PATH

# A JSON object of the document. Its values are of too many shapes for a precise type.
Object = dict[str, Any]

# The meaning of each status, for all routes.
DESCRIPTIONS = {
    "304": "The response has not changed since the `ETag` in `If-None-Match`.",
    "400": "The caller cannot do this to their own account.",
    "401": "Not signed in: the token is missing, invalid or expired, or the password is wrong.",
    "403": "The caller is not allowed to do this.",
    "404": "There is no such post, user or session.",
    "409": "The name or the e-mail address is taken.",
    "412": "The resource has changed since the `ETag` in `If-Match`.",
    "413": "The body is larger than 64 KiB.",
    "422": "The request is invalid; `detail` says what is wrong and where.",
    "429": "Too many requests, or too many attempts. `Retry-After` says when to try again.",
    "503": "The service is temporarily unavailable. `Retry-After` says when to try again.",
}
IN_FLIGHT = "The first request with this `Idempotency-Key` is still in progress: try again."


def _header(description: str, kind: str = "string") -> Object:
    return {"description": description, "schema": {"type": kind}}


HEADERS = {
    "ETag": _header("The entity tag of this response, for `If-None-Match` and `If-Match`."),
    "Link": _header('`<reference>; rel="next"` to the next page, relative to this address.'),
    "Location": _header("The address of what was created, relative to this address."),
    "RateLimit-Limit": _header("How many requests a caller may send in each window.", "integer"),
    "RateLimit-Remaining": _header("How many requests are left in this window.", "integer"),
    "RateLimit-Reset": _header("Seconds until the next window begins.", "integer"),
    "Retry-After": _header("Seconds until it makes sense to try again.", "integer"),
    "WWW-Authenticate": _header("`Bearer`."),
    "X-Request-ID": _header("The id of this request in the log."),
}
EVERYWHERE = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "X-Request-ID"]


def _parameter(name: str, description: str, **schema: object) -> Object:
    schema = {"type": "string", **schema}
    return {"name": name, "in": "header", "description": description, "schema": schema}


PARAMETERS = {
    "IfNoneMatch": _parameter("If-None-Match", "An `ETag`: 304 if nothing has changed since."),
    "IfMatch": _parameter("If-Match", "An `ETag`: 412 if the resource has changed since."),
    "IdempotencyKey": _parameter(
        "Idempotency-Key",
        "A unique value such as a UUID. The request is done once, however often it is sent.",
        minLength=1,
        maxLength=255,
        pattern="^[!-~]([ -~]*[!-~])?$",
    ),
}
# Example values of path parameters. They exist after the example bodies have been sent.
EXAMPLES = {"username": "ana", "post_id": 1, "user_id": 2, "session_id": 1}


def add_openapi(app: FastAPI) -> None:
    """Complete FastAPI's OpenAPI document at its first request."""
    fastapi_openapi = app.openapi

    def openapi() -> Object:
        if not app.openapi_schema:
            _complete(fastapi_openapi())
        return fastapi_openapi()

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: Object) -> None:
    components, paths = document["components"], document["paths"]
    components["headers"], components["parameters"] = HEADERS, PARAMETERS
    schemas = components["schemas"]
    _describe_errors(schemas)
    for path, operations in paths.items():
        # A POST here creates something with an address if there is a GET for this path and an id.
        item_path = re.compile(re.escape(path) + r"\{\w+\}/")
        creates = any("get" in paths[other] for other in paths if item_path.fullmatch(other))
        for method, operation in operations.items():
            operation.setdefault("security", [])  # else it would be unspecified
            takes_key = method == "post" and path != SIGN_OUT_PATH
            _complete_parameters(method, operation, takes_key)
            _complete_responses(method, operation["responses"], takes_key)
            _add_headers(method, operation["responses"], schemas, creates, takes_key)
            for media, content in operation.get("requestBody", {}).get("content", {}).items():
                for schema in content["schema"].get("anyOf", [content["schema"]]):
                    if "$ref" in schema:
                        _complete_request(media, schemas[_schema_name(schema)])


def _schema_name(reference: Object) -> str:
    return str(reference["$ref"].rpartition("/")[2])


def _describe_errors(schemas: Object) -> None:
    """Describe 422 as Pamps sends it: without the input, and at `/token` with OAuth's fields."""
    for name in ("input", "ctx"):
        schemas["ValidationError"]["properties"].pop(name, None)
    invalid, oauth = schemas["HTTPValidationError"], schemas["OAuthError"]
    invalid["required"] = ["detail"]
    schemas["OAuthValidationError"] = oauth | {
        "title": "OAuthValidationError",
        "properties": oauth["properties"] | invalid["properties"],
    }


def _complete_request(media: str, schema: Object) -> None:
    for name, field in schema["properties"].items():
        # Generators of typed clients make a field with a default mandatory.
        field.pop("default", None)
        if "form" in media and "enum" not in field:
            # Swagger UI fills in each field of a form, with made-up values if it has no example.
            field["examples"] = [schema["examples"][0].get(name, "")]


def _complete_parameters(method: str, operation: Object, takes_key: bool) -> None:
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        if parameter["in"] == "path":
            parameter["example"] = EXAMPLES[parameter["name"]]
        for schema in parameter["schema"].pop("anyOf", []):
            if schema["type"] != "null":  # which no URL can express
                parameter["schema"] |= schema
    if method == "get":
        names = ["IfNoneMatch"]
    elif takes_key:
        names = ["IdempotencyKey"]
    else:
        names = ["IfMatch"] if "412" in operation["responses"] else []
    parameters.extend({"$ref": f"#/components/parameters/{name}"} for name in names)


def _complete_responses(method: str, responses: Object, takes_key: bool) -> None:
    error = responses["429"]["content"]
    is_oauth = _schema_name(error["application/json"]["schema"]) == "OAuthError"
    if method == "get":
        responses["304"] = {}
    if takes_key:
        responses.setdefault("422", {})
    if "422" in responses:
        name = "OAuthValidationError" if is_oauth else "HTTPValidationError"
        schema = {"$ref": f"#/components/schemas/{name}"}
        responses["422"]["content"] = {"application/json": {"schema": schema}}
    for code, response in responses.items():
        response["description"] = DESCRIPTIONS.get(code) or response["description"]
    if takes_key:
        conflict = responses.setdefault("409", {"content": error})
        conflict["description"] = " ".join(filter(None, [conflict.get("description"), IN_FLIGHT]))


def _add_headers(
    method: str, responses: Object, schemas: Object, creates: bool, takes_key: bool
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
        if code == "201" and creates:
            names += ["ETag", "Location"]
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _is_list(response: Object, schemas: Object) -> bool:
    """Tell whether a response is a list, or contains one."""
    schema = response["content"]["application/json"]["schema"]
    fields = schemas[_schema_name(schema)]["properties"].values() if "$ref" in schema else [schema]
    return any(field.get("type") == "array" for field in fields)

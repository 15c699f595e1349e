"""The OpenAPI document: FastAPI's, completed by what is the same for all routes."""

import re
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from pamps.config import settings
from pamps.errors import DESCRIPTIONS
from pamps.language import find_language
from pamps.middleware.idempotency import SIGN_OUT_PATH
from pamps.translation import translate

# A JSON object of the document. Its values are of too many shapes for a precise type.
Object = dict[str, Any]

NOT_MODIFIED = "The response has not changed since the `ETag` in `If-None-Match`."
INVALID = "The request is invalid; `detail` says what is wrong and where."
IN_PROGRESS = "The first request with this `Idempotency-Key` is still in progress: try again."


def _header(description: str, kind: str = "string") -> Object:
    return {"description": description, "schema": {"type": kind}}


HEADERS = {
    "Content-Disposition": _header("The name of the file."),
    "ETag": _header("The entity tag of this response, for `If-None-Match` and `If-Match`."),
    "Link": _header(
        '`<reference>; rel="next"` to the next page, and in a list with the newest first also '
        '`<reference>; rel="prev"` to what is newer, both relative to this address.'
    ),
    "Location": _header("The address of what was created, relative to this address."),
    "RateLimit-Limit": _header("How many requests a caller may send in each window.", "integer"),
    "RateLimit-Remaining": _header("How many requests are left in this window.", "integer"),
    "RateLimit-Reset": _header("Seconds until the next window begins.", "integer"),
    "Retry-After": _header("Seconds until it makes sense to try again.", "integer"),
    "WWW-Authenticate": _header("`Bearer`."),
    "Write-Position": _header(
        "Where the database was after this change; a read with this header shows it. Only from a"
        " service with replicas."
    ),
    "X-Request-ID": _header("The id of this request in the log."),
}


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
    "WritePosition": _parameter(
        "Write-Position",
        "That of an earlier response: this one shows nothing older. Others are ignored.",
        pattern="^[0-9a-f]{1,16}-[0-9a-f]{1,16}$",
    ),
}
# Example values of path parameters. They exist after the example bodies have been sent.
EXAMPLES = {"username": "ana", "post_id": 1, "user_id": 2, "session_id": 1, "tag": "pamps"}


def add_openapi(app: FastAPI) -> None:
    """Add /openapi.json: FastAPI's document, completed at its first request."""
    fastapi_openapi = app.openapi

    @cache
    def openapi() -> Object:
        document = fastapi_openapi()
        _complete(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    translated = cache(lambda: translate(openapi()))

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi_document(lang: str = "en") -> JSONResponse:
        return JSONResponse(openapi() if find_language(lang) == "en" else translated())


def _complete(document: Object) -> None:
    components, paths = document["components"], document["paths"]
    components["headers"], components["parameters"] = HEADERS, PARAMETERS
    schemas = components["schemas"]
    _describe_errors(schemas)
    for path, operations in paths.items():
        # If `GET <path>{id}/` exists, this POST returns Location and ETag.
        item_path = re.compile(re.escape(path) + r"\{\w+\}/")
        creates = any("get" in paths[other] for other in paths if item_path.fullmatch(other))
        for method, operation in operations.items():
            operation.setdefault("security", [])  # else it would be unspecified
            operation["responses"] = _common_errors(path, operation) | operation["responses"]
            takes_key = method == "post" and path != SIGN_OUT_PATH
            has_etag = method == "get" and not operation.pop("x-streamed", False)
            _complete_parameters(method, operation, takes_key, has_etag)
            _complete_responses(
                operation["responses"], schemas, method, takes_key, has_etag, creates
            )
            for media, content in operation.get("requestBody", {}).get("content", {}).items():
                for schema in content["schema"].get("anyOf", [content["schema"]]):
                    if "$ref" in schema:
                        _complete_request(media, schemas[_schema_name(schema)])


def _common_errors(path: str, operation: Object) -> Object:
    """Return the error responses that follow from what a request contains."""
    causes = {401: operation["security"], 404: "{" in path, 413: "requestBody" in operation}
    schema = {"$ref": "#/components/schemas/Error"}
    return {
        str(code): {
            "description": DESCRIPTIONS[code],
            "content": {"application/json": {"schema": schema}},
        }
        for code, is_possible in (causes | {429: True, 503: True}).items()
        if is_possible
    }


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


def _complete_parameters(method: str, operation: Object, takes_key: bool, has_etag: bool) -> None:
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        if parameter["in"] == "path":
            parameter["example"] = EXAMPLES[parameter["name"]]
        for schema in parameter["schema"].pop("anyOf", []):
            if schema["type"] != "null":  # which no URL can express
                parameter["schema"] |= schema
    for name, is_taken in (
        ("IfNoneMatch", has_etag),
        ("WritePosition", has_etag and settings.db.replica_uri),
        ("IfMatch", "412" in operation["responses"]),
        ("IdempotencyKey", takes_key),
    ):
        if is_taken:
            parameters.append({"$ref": f"#/components/parameters/{name}"})


def _complete_responses(
    responses: Object,
    schemas: Object,
    method: str,
    takes_key: bool,
    has_etag: bool,
    creates: bool,
) -> None:
    error = responses["429"]["content"]
    if has_etag:
        responses["304"] = {"description": NOT_MODIFIED}
    if takes_key:
        taken = f"{responses['409']['description']} " if "409" in responses else ""
        responses["409"] = {"description": f"{taken}{IN_PROGRESS}", "content": error}
    if takes_key or "422" in responses:
        is_oauth = _schema_name(error["application/json"]["schema"]) == "OAuthError"
        name = "OAuthValidationError" if is_oauth else "HTTPValidationError"
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        responses["422"] = {"description": INVALID, "content": content}
    for code, response in responses.items():
        names = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "X-Request-ID"]
        if method != "get" and code < "4" and settings.db.replica_uri:
            names.append("Write-Position")
        if code in ("429", "503") or (code == "409" and takes_key):
            names.append("Retry-After")
        if code == "401":
            names.append("WWW-Authenticate")
        if code == "304" or (code == "200" and (has_etag or method == "patch")):
            names.append("ETag")
        if code == "200" and has_etag and _is_list(response, schemas):
            names.append("Link")
        if code == "201" and creates:
            names += ["ETag", "Location"]
        headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        response["headers"] = response.get("headers", {}) | headers


def _is_list(response: Object, schemas: Object) -> bool:
    """Tell whether a response is a list, or contains one."""
    schema = response["content"]["application/json"]["schema"]
    fields = schemas[_schema_name(schema)]["properties"].values() if "$ref" in schema else [schema]
    return any(field.get("type") == "array" for field in fields)

"""Responses to errors: `{"detail": …}`, with nothing internal in them."""

import logging
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import psycopg
import psycopg2
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Form
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, TimeoutError as EnginePoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from pamps.database_errors import is_retryable, is_unavailable, violated_constraint
from pamps.folder import FolderError
from pamps.state import request_state

logger = logging.getLogger(__name__)

# With a 503: soon, as nothing is known about how long it lasts.
RETRY_AFTER = {"Retry-After": "1"}
TOKEN_PATH = "/token"  # nosec B105
# The codes of OAuth (RFC 6749, section 5.2); server-side errors use those of section 4.1.2.1.
OAUTH_ERRORS = {
    401: "invalid_grant",
    403: "invalid_grant",
    429: "temporarily_unavailable",
    500: "server_error",
    503: "temporarily_unavailable",
}
# What each status means, for the documentation.
DESCRIPTIONS = {
    400: "The caller cannot do this to their own account.",
    401: "Not signed in: the token is missing, invalid or expired, or the password is wrong.",
    403: "The caller is not allowed to do this.",
    404: "There is no such post, user or session.",
    409: "The name or the e-mail address is taken.",
    412: "The resource has changed since the `ETag` in `If-Match`.",
    413: "The body is larger than 64 KiB.",
    429: "Too many requests, or too many attempts. `Retry-After` says when to try again.",
    503: "The service is temporarily unavailable. `Retry-After` says when to try again.",
}


class Error(BaseModel):
    """An error response."""

    detail: str


class OAuthError(Error):
    """An error response to a request for a token (RFC 6749, section 5.2)."""

    error: str
    error_description: str


def error_responses(*codes: int, model: type[Error] = Error) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of error responses, for a route's `responses`."""
    return {code: {"model": model, "description": DESCRIPTIONS[code]} for code in codes}


def error_response(
    scope: Scope, status: int, detail: object, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return an error response to the request of this ASGI scope, with OAuth's fields at /token."""
    content = {"detail": detail}
    if scope["path"] == TOKEN_PATH:
        content |= _oauth_fields(status, detail)
    return JSONResponse(content, status, headers)


def _oauth_fields(status: int, detail: object) -> dict[str, object]:
    """Return OAuth's code for an error, and its detail as one text."""
    error = OAUTH_ERRORS.get(status, "invalid_request")
    if not isinstance(detail, list):
        return {"error": error, "error_description": detail}
    if any(item["loc"][-1] == "grant_type" for item in detail):
        error = "unsupported_grant_type"
    description = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in detail)
    return {"error": error, "error_description": description}


def unavailable_response(scope: Scope, error: BaseException) -> JSONResponse:
    """Log that the database is unavailable, and return a 503."""
    logger.error("the database cannot serve a request: %s", error)
    detail = "The database cannot serve this now, try again"
    return error_response(scope, 503, detail, RETRY_AFTER)


async def _validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
    """Respond with 422, without the input: it may be a password, or not representable in JSON."""
    items = [{key: item[key] for key in ("type", "loc", "msg")} for item in error.errors()]
    if items[0]["loc"][0] == "body" and (hint := _media_type_hint(request)):
        items = [{"type": "media_type", "loc": ["body"], "msg": hint}]
    return error_response(request.scope, 422, items)


def _media_type_hint(request: Request) -> str | None:
    """Return a message if the body has another media type than the one that the route reads."""
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not media_type or not request_state(request.scope).body:
        return None
    if isinstance(request.scope["route"].body_field.field_info, Form):
        if media_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
            return None
        return "Body should be a form: Content-Type: application/x-www-form-urlencoded"
    if re.fullmatch(r"application/(.+\+)?json", media_type):
        return None
    return "Body should be JSON: Content-Type: application/json"


async def _http_error(request: Request, error: HTTPException) -> JSONResponse:
    if error.status_code == 400 and error.__context__:
        # FastAPI could not parse the body, which for a client is the same as a wrong field.
        item = {"type": "body_invalid", "loc": ["body"], "msg": error.detail}
        return error_response(request.scope, 422, [item])
    headers = error.headers
    if error.status_code == 405:
        # Starlette names the methods of one route, RFC 9110 (section 15.5.6) those of all.
        routes = iter_route_contexts(request.app.routes)
        matching = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
        methods = {method for route in matching for method in route.methods or ()}
        if "GET" in methods or not methods:  # no route: a file of the web client
            methods |= {"GET", "HEAD"}
        headers = {"Allow": ", ".join(sorted(methods))}
    return error_response(request.scope, error.status_code, error.detail, headers)


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    """Respond to an error of either driver. Raises those that are bugs or will be retried."""
    if violation := violated_constraint(error):
        status, detail = violation
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
        return error_response(request.scope, status, detail, headers)
    if not is_unavailable(error) or (
        is_retryable(error) and request_state(request.scope).may_retry
    ):
        raise error
    return unavailable_response(request.scope, error)


# SQLAlchemy and psycopg2 are for routes in the workshop's style, with `ActiveSession`.
DATABASE_ERRORS = psycopg.Error, DBAPIError, EnginePoolTimeout, psycopg2.Error, FolderError
ExceptionHandler = Callable[[Request, Any], Coroutine[Any, Any, Response]]
EXCEPTION_HANDLERS: dict[int | type[Exception], ExceptionHandler] = {
    RequestValidationError: _validation_error,
    HTTPException: _http_error,
    **dict.fromkeys(DATABASE_ERRORS, _database_error),
}

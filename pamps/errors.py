"""What goes wrong, as answers: `{"detail": …}` and never a look inside."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

import psycopg2
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Form
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, IntegrityError, TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps.auth import SignInFailed
from pamps.config import settings
from pamps.database_errors import collision, is_away, is_conflict
from pamps.folder import EmbeddedError
from pamps.legacy import TooLate
from pamps.state import request_state

logger = logging.getLogger(__name__)

# With a 503: soon, as nobody knows better.
RETRY_AFTER = {"Retry-After": "1"}

# RFC 6749, section 5.2, and for what is no fault of the client 4.1.2.1.
OAUTH_ERRORS = {
    401: "invalid_grant",
    403: "invalid_grant",
    429: "temporarily_unavailable",
    500: "server_error",
    503: "temporarily_unavailable",
}


class Error(BaseModel):
    """Why a request was refused."""

    detail: str


class OAuthError(Error):
    """Why a request for a token was refused, in OAuth's words too (RFC 6749, section 5.2)."""

    error: str
    error_description: str


def errors(*codes: int, model: type[Error] = Error) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its documentation."""
    return {code: {"model": model, "description": HTTPStatus(code).phrase} for code in codes}


def refusal(
    request: Request, status: int, detail: Any, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The answer to a request that fails; to one for a token it also says what OAuth calls it."""
    content = {"detail": detail}
    if request.url.path.endswith("/token"):
        content["error"] = OAUTH_ERRORS.get(status, "invalid_request")
        if isinstance(detail, list):
            if any(item["loc"][-1] == "grant_type" for item in detail):
                content["error"] = "unsupported_grant_type"
            detail = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in detail)
        content["error_description"] = detail
    return JSONResponse(content, status, headers)


async def _validation_error(request: Request, error: Any) -> JSONResponse:
    """422 without the input, which may be a password, or nothing that JSON can hold."""
    told = [{key: item[key] for key in ("type", "loc", "msg")} for item in error.errors()]
    if told[0]["loc"][0] == "body" and (hint := _media_type_hint(request)):
        told = [{"type": "media_type", "loc": ["body"], "msg": hint}]
    return refusal(request, 422, told)


def _media_type_hint(request: Request) -> str | None:
    """What to say where the body is of another media type than the route reads."""
    sent = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not sent or not request_state(request.scope).body:
        return None
    if isinstance(request.scope["route"].body_field.field_info, Form):
        if sent in ("application/x-www-form-urlencoded", "multipart/form-data"):
            return None
        return "Body should be a form: Content-Type: application/x-www-form-urlencoded"
    if re.fullmatch(r"application/(.+\+)?json", sent):
        return None
    return "Body should be JSON: Content-Type: application/json"


async def _http_error(request: Request, error: Any) -> JSONResponse:
    if error.status_code == 400 and error.__context__:
        # FastAPI could not so much as parse the body. For a client that is as bad as a wrong field.
        told = [{"type": "body_invalid", "loc": ["body"], "msg": error.detail}]
        return refusal(request, 422, told)
    headers = error.headers
    if error.status_code == 405:
        # Starlette names the methods of one route, RFC 9110 (section 15.5.6) those of all.
        routes = iter_route_contexts(request.app.routes)
        here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
        methods = {method for route in here for method in route.methods or ()}
        if "GET" in methods:
            methods.add("HEAD")
        headers = {"Allow": ", ".join(sorted(methods))}
    return refusal(request, error.status_code, error.detail, headers)


async def _sign_in_failed(request: Request, error: Any) -> JSONResponse:
    """Let the response wait in ErrorMiddleware until it took as long as any other failure."""
    whole = settings.security.SIGN_IN_FAILURE_MILLISECONDS / 1000
    passed = time.perf_counter() - error.started
    request_state(request.scope).delay = whole - passed % whole
    return await _http_error(request, error)


def _told(request: Request, status: int, detail: str) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return refusal(request, status, detail, headers)


async def _integrity_error(request: Request, error: Any) -> JSONResponse:
    if not (told := collision(error)):
        raise error
    return _told(request, *told)


def _database_away(request: Request, error: BaseException) -> JSONResponse:
    logger.error("the database cannot serve a request: %s", error)
    detail = "The database cannot serve this now, try again"
    return refusal(request, 503, detail, RETRY_AFTER)


async def _database_error(request: Request, error: Any) -> JSONResponse:
    if not is_away(error) or (is_conflict(error) and request_state(request.scope).may_retry):
        raise error
    return _database_away(request, error)


class ErrorMiddleware:
    """Answers what no handler does: an error that nobody expected, or one at the end of all."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def noting_send(message: Message) -> None:
            nonlocal started
            if not started and (seconds := request_state(scope).delay):
                await asyncio.sleep(seconds)
            started = True
            await send(message)

        try:
            await self.app(scope, receive, noting_send)
        except TooLate:
            raise  # Deadline answers
        except Exception as error:
            if is_away(error) and not started:  # at the end of an outer transaction
                await _database_away(Request(scope), error)(scope, receive, send)
                return
            logger.exception("request failed")
            if started:
                raise
            id_ = request_state(scope).request_id
            detail = f"Internal server error; the log says more under {id_}"
            await refusal(Request(scope), 500, detail)(scope, receive, send)


DATABASE_ERRORS = (
    DBAPIError,
    PoolTimeout,
    psycopg2.DatabaseError,
    psycopg2.InterfaceError,
    EmbeddedError,
)
Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]
EXCEPTION_HANDLERS: dict[int | type[Exception], Handler] = {
    RequestValidationError: _validation_error,
    HTTPException: _http_error,
    SignInFailed: _sign_in_failed,
    **dict.fromkeys(DATABASE_ERRORS, _database_error),
    IntegrityError: _integrity_error,
    psycopg2.IntegrityError: _integrity_error,
}

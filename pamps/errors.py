"""What goes wrong, as answers: `{"detail": …}` and never a look inside."""

import logging
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.orm.exc import StaleDataError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from pamps.embedded import EmbeddedError

logger = logging.getLogger("uvicorn.error")

MAX_BODY_BYTES = 64 * 1024

# The database decides what collides and what is gone. This is what its constraints tell a client.
CONSTRAINTS = {
    "uq_user_email": (409, "Email already taken"),
    "uq_user_username": (409, "Username already taken"),
    "fk_like_post_id": (404, "Post not found"),
    "fk_social_to_id": (404, "User not found"),
    # The caller's account was deleted while the request was on its way.
    "fk_post_user_id": (401, "Could not validate credentials"),
    "fk_like_user_id": (401, "Could not validate credentials"),
    "fk_social_from_id": (401, "Could not validate credentials"),
}


class Error(BaseModel):
    """Why a request was refused."""

    detail: str


def errors(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its documentation."""
    return {code: {"model": Error, "description": HTTPStatus(code).phrase} for code in codes}


def collision(error: IntegrityError) -> tuple[int, str] | None:
    """The status and the words for a constraint that clients can run into."""
    return CONSTRAINTS.get(getattr(getattr(error.orig, "diag", None), "constraint_name", ""))


def _validation_error(_: Request, error: Any) -> Response:
    """422 without the input, which may be a password, or nothing that JSON can hold."""
    told = [{key: item[key] for key in ("type", "loc", "msg")} for item in error.errors()]
    return JSONResponse({"detail": told}, 422)


async def _http_error(request: Request, error: Any) -> Response:
    if error.status_code == 400 and error.__context__:
        # FastAPI could not so much as parse the body. For a client that is as bad as a wrong field.
        told = [{"type": "body_invalid", "loc": ["body"], "msg": error.detail}]
        return JSONResponse({"detail": told}, 422)
    return await http_exception_handler(request, error)


def _refusal(status: int, detail: str) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"detail": detail}, status, headers)


def _integrity_error(_: Request, error: Any) -> Response:
    if not (told := collision(error)):
        raise error
    return _refusal(*told)


def _account_gone(_: Request, error: Any) -> Response:
    """A row to be changed was deleted meanwhile, and the only ones changed so are the caller's."""
    return _refusal(*CONSTRAINTS["fk_post_user_id"])


def _database_away(_: Request, error: Any) -> Response:
    logger.error("the database cannot serve a request: %s", error)
    detail = "The database cannot serve this now, try again"
    return JSONResponse({"detail": detail}, 503, {"Retry-After": "1"})


def _unexpected_error(_: Request, error: Any) -> Response:
    request_id = uuid4().hex
    logger.error("request %s failed", request_id, exc_info=error)
    detail = f"Internal server error; the log says more under {request_id}"
    return JSONResponse({"detail": detail}, 500, {"X-Request-ID": request_id})


class BodyLimit:
    """Says in JSON that a body is too large, where FastAPI's own limit says it in plain text."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] == "http":
            length = Headers(scope=scope).get("content-length", "")
            if length.isdecimal() and (len(length) > 9 or int(length) > MAX_BODY_BYTES):
                app = JSONResponse({"detail": "Content Too Large"}, 413)
        await app(scope, receive, send)


def handle_errors(app: FastAPI) -> None:
    app.add_middleware(BodyLimit)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(IntegrityError, _integrity_error)
    app.add_exception_handler(StaleDataError, _account_gone)
    for away in (OperationalError, InterfaceError, EmbeddedError):
        app.add_exception_handler(away, _database_away)
    app.add_exception_handler(Exception, _unexpected_error)

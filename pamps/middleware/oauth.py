"""Errors of `POST /token` in the words of OAuth 2.0 (RFC 6749, section 5.2)."""

import json

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_PATH = "/token"  # nosec B105
# For what is no fault of the client, the words of section 4.1.2.1. All others: invalid_request.
ERRORS = {
    401: "invalid_grant",
    403: "invalid_grant",
    429: "temporarily_unavailable",
    500: "server_error",
    503: "temporarily_unavailable",
}


class OAuthErrorMiddleware:
    """Add `error` and `error_description` to the error responses of the token route."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != TOKEN_PATH:
            await self.app(scope, receive, send)
            return
        start: Message = {}

        async def send_error(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] >= 400:
                start = message  # sent below, as the length of the body changes
                return
            if start:
                response = _error_response(start["status"], message["body"])
                replaced = {b"content-length", b"content-type"}
                response.raw_headers += [
                    header for header in start["headers"] if header[0] not in replaced
                ]
                await response(scope, receive, send)
            else:
                await send(message)

        await self.app(scope, receive, send_error)


def _error_response(status: int, body: bytes) -> JSONResponse:
    """Return an error response with OAuth's fields beside `detail`."""
    detail = json.loads(body)["detail"]
    error, description = ERRORS.get(status, "invalid_request"), detail
    if isinstance(detail, list):
        if any(item["loc"][-1] == "grant_type" for item in detail):
            error = "unsupported_grant_type"
        description = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in detail)
    content = {"detail": detail, "error": error, "error_description": description}
    return JSONResponse(content, status)

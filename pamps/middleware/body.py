"""The limit of a request's body."""

from starlette.types import ASGIApp, Receive, Scope, Send

from pamps.errors import error_response
from pamps.state import request_state

MAX_BODY_BYTES = 64 * 1024


class BodyLimitMiddleware:
    """Read the whole body into `RequestState.body`, or respond with 413 if it is too large.

    The layers below begin when the body is there, so that a slow client takes no place from other
    requests. The server limits how long a client may take (`server.receive_timeout`).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            length = next(
                (value for name, value in scope["headers"] if name == b"content-length"), b""
            )
            body, too_large = b"", length.isdigit() and int(length[:9]) > MAX_BODY_BYTES
            more = not too_large
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body += message.get("body", b"")
                too_large = len(body) > MAX_BODY_BYTES
                more = message.get("more_body", False) and not too_large
            if too_large:
                await error_response(413, "Content Too Large")(scope, receive, send)
                return
            request_state(scope).body = body
        await self.app(scope, receive, send)

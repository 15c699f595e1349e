"""The limit of a request's body."""

from starlette.types import Receive, Scope, Send

from pamps.errors import error_response
from pamps.middleware import BaseMiddleware
from pamps.state import request_state

MAX_BODY_BYTES = 64 * 1024


class BodyLimitMiddleware(BaseMiddleware):
    """Read the whole body into `RequestState.body`, or respond with 413 if it is too large.

    The layers below begin when the body is there, so that a slow upload does not count towards
    `server.max_requests`. The server limits how long a client may take (`server.receive_timeout`).
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            await self.app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"")
        too_large = length.isdigit() and int(length) > MAX_BODY_BYTES
        body, more = b"", True
        while more and not too_large:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            too_large = len(body) > MAX_BODY_BYTES
            more = message.get("more_body", False)
        request_state(scope).body = body
        app = error_response(scope, 413, "Content Too Large") if too_large else self.app
        await app(scope, receive, send)

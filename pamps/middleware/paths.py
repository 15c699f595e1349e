"""Middleware for paths and methods: one spelling of each path, and HEAD wherever there is GET."""

from starlette.types import Message, Receive, Scope, Send

from pamps.middleware import BaseMiddleware
from pamps.paths import ROOT_PATH
from pamps.state import request_state


class PathMiddleware(BaseMiddleware):
    """Remove `server.root_path` and a trailing slash from the path of a request.

    So every path works with and without the slash, and has one spelling for all layers below.
    `raw_path` remains what the client sent.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if ROOT_PATH and f"{path}/".startswith(f"{ROOT_PATH}/"):
            path = path.removeprefix(ROOT_PATH)
        scope["path"] = path.removesuffix("/") or "/"
        await self.app(scope, receive, send)


class HeadMiddleware(BaseMiddleware):
    """Respond to HEAD as to GET, without the body (RFC 9110, section 9.3.2)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            scope["method"] = "HEAD"  # tells uvicorn that the body may be shorter than its length
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        scope["method"] = "GET"
        request_state(scope).is_head = True
        try:
            await self.app(scope, receive, send_without_body)
        finally:
            scope["method"] = "HEAD"

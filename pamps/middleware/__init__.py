"""Middleware: ASGI classes, one a file, for HTTP requests only (see LifespanMiddleware)."""

from starlette.types import ASGIApp, Receive, Scope, Send


class BaseMiddleware:
    """A layer around `app`, which is the layer below."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app


class LifespanMiddleware(BaseMiddleware):
    """Hand the start and the stop of the server to the router, past all layers below."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app if scope["type"] == "http" else scope["app"].router
        await app(scope, receive, send)

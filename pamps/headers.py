"""What browsers are told besides: nothing runs, nothing frames, and who else may read."""

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps.config import settings

JSON_POLICY = "default-src 'none'; frame-ancestors 'none'"
# What pages of other origins may read beside the answer itself.
EXPOSED = ["Link", "Retry-After", "X-Request-ID", "WWW-Authenticate"]
EXPOSED += ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]


class SecurityHeaders:
    """Headers of every answer. A page may have a policy of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Content-Security-Policy", JSON_POLICY)
                if scope["path"].endswith("token"):
                    headers["Cache-Control"] = "no-store"  # RFC 6749, section 5.1
            await send(message)

        await self.app(scope, receive, send_with_headers)


def add_headers(app: FastAPI) -> None:
    if settings.cors.allow_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors.allow_origins,
            allow_credentials=settings.cors.allow_credentials,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=EXPOSED,
        )
    app.add_middleware(SecurityHeaders)

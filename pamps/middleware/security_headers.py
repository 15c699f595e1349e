"""What browsers are told besides: nothing runs, nothing frames, and who else may read."""

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps.config import settings

JSON_POLICY = b"default-src 'none'; frame-ancestors 'none'"
HEADERS = (b"x-content-type-options", b"nosniff"), (b"content-security-policy", JSON_POLICY)
# Headers that pages of other origins may read.
EXPOSED = ["ETag", "Link", "Location", "Retry-After", "X-Request-ID", "WWW-Authenticate"]
EXPOSED += ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]


class SecurityHeaders:
    """Headers of every answer. A page may have a policy of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message["headers"]
                names = {name for name, _ in own}
                more = [header for header in HEADERS if header[0] not in names]
                if scope["path"].endswith("token"):
                    more.append((b"cache-control", b"no-store"))  # RFC 6749, section 5.1
                message["headers"] = [*own, *more]
            await send(message)

        await self.app(scope, receive, send_with_headers)


def add_headers(app: FastAPI) -> None:
    if settings.cors.allow_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors.allow_origins,
            allow_credentials=settings.cors.allow_credentials,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    app.add_middleware(SecurityHeaders)

"""Security headers for browsers."""

from starlette.types import Message, Receive, Scope, Send

from pamps.middleware import BaseMiddleware

CONTENT_SECURITY_POLICY = b"default-src 'none'; frame-ancestors 'none'"
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", CONTENT_SECURITY_POLICY),
)


class SecurityHeadersMiddleware(BaseMiddleware):
    """Add headers to each response that let a browser run nothing and frame nothing.

    A response with a Content-Security-Policy of its own keeps it. Responses with tokens are not
    to be stored (RFC 6749, section 5.1).
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                names = {name for name, _ in headers}
                added = [header for header in HEADERS if header[0] not in names]
                if scope["path"] in ("/token", "/refresh_token"):
                    added.append((b"cache-control", b"no-store"))
                message["headers"] = [*headers, *added]
            await send(message)

        await self.app(scope, receive, send_with_headers)

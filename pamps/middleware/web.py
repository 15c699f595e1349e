"""The web client: the page and its files, which `app.frontend()` reads."""

import hashlib
import sysconfig
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps import mail
from pamps.config import PACKAGE, settings
from pamps.middleware import BaseMiddleware
from pamps.paths import BASE_URL
from pamps.responses import is_known, read_qualities

# The build of a checkout, and the one that came with a wheel or a Docker image: see
# docs/decisions/0024-web-client-serving.md.
PLACES = PACKAGE.parent / "web" / "dist", Path(sysconfig.get_path("data"), "share", "pamps", "web")

PAGE = "/index.html"
# What the page says as it was built, and by the settings. All its references are relative to its
# base, which is where browsers find Pamps.
BY_SETTINGS = {
    '<base href="/"': f'<base href="{urlsplit(BASE_URL).path}/"',
    'name="post-max-length" content="255"': (
        f'name="post-max-length" content="{settings.post.max_length}"'
    ),
    'name="mail" content="yes"': f'name="mail" content="{"yes" if mail.ENABLED else "no"}"',
}
PAGE_HEADERS = {
    "Vary": "Accept",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; "
        "connect-src 'self'; manifest-src 'self'; font-src 'self'; base-uri 'self'; "
        "form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types vue"
    ),
    # Other sites, such as those of avatars, learn nothing. Unlike with `no-referrer`, every request
    # that a browser sends to Pamps keeps its `Origin`.
    "Referrer-Policy": "same-origin",
}
# The names of files in this folder contain a hash of their content.
HASHED = "/assets/"
# In the order of preference.
ENCODINGS = {"br": ".br", "gzip": ".gz"}
MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


def find_build() -> Path | None:
    """Return the folder of the built client, or None if it was not built."""
    return next((place for place in PLACES if Path(f"{place}{PAGE}").is_file()), None)


def _is_of_api(scope: Scope) -> bool:
    """Tell whether the API has this path."""
    return any(route.matches(scope)[0] is not Match.NONE for route in scope["app"].routes)


class WebMiddleware(BaseMiddleware):
    """Respond with a file of the web client, or with its page where the API has no such path.

    The page is for browsers, who accept HTML; others get the API's index and its 404. At paths of
    the API everybody gets the API. The layers below see nothing of requests for the client, which
    count for no limit.
    """

    def __init__(self, app: ASGIApp, build: Path) -> None:
        super().__init__(app)
        files = (path for path in build.rglob("*") if path.is_file())
        self.files = {f"/{path.relative_to(build).as_posix()}" for path in files}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_varying(message: Message) -> None:
            # A cache must not send it to a browser, which would get the page.
            if message["type"] == "http.response.start" and message["status"] == 404:
                vary = [] if _is_of_api(scope) else [(b"vary", b"Accept")]
                message["headers"] = [*message["headers"], *vary]
            await send(message)

        app = self.app
        if scope["method"] == "GET" and (name := self._find_file(scope)):
            app = await self._response(Request(scope, receive), name) or app
        await app(scope, receive, send_varying)

    def _find_file(self, scope: Scope) -> str | None:
        """Return the name of the file to respond with, or None if it is the API that responds."""
        path: str = scope["path"]
        if path in self.files:
            return path
        if not any(
            name == b"accept" and b"html" in value.lower() for name, value in scope["headers"]
        ):
            return None  # most requests to the API need no closer look
        accepted = read_qualities(Request(scope), "accept")
        quality = accepted.get("text/html", 0)
        if not quality or quality < accepted.get("application/json", 0):
            return None
        return None if path != "/" and _is_of_api(scope) else PAGE

    async def _response(self, request: Request, name: str) -> Response | None:
        """Return the response with a file, or None if the file is no longer there."""
        encodings = {key: end for key, end in ENCODINGS.items() if name + end in self.files}
        if name == PAGE:
            encodings = {}  # it is small, and not sent as it was built
        accepted = read_qualities(request, "accept-encoding")
        qualities = {key: accepted.get(key, accepted.get("*", 0)) for key in encodings}
        encoding = max(qualities, key=qualities.__getitem__, default="")
        quality = qualities.get(encoding, 0)
        if not quality or quality < accepted.get("identity", 0):
            encoding = ""
        try:
            content = await _read(request, name + encodings.get(encoding, ""))
        except HTTPException:
            return None
        headers = {"Cache-Control": "no-cache"}
        if encodings:
            headers["Vary"] = "Accept-Encoding"
        if name == PAGE:
            for built, text in BY_SETTINGS.items():
                content = content.replace(built.encode(), text.encode())
            headers |= PAGE_HEADERS
        elif name.startswith(HASHED):
            headers["Cache-Control"] = "public, max-age=31536000, immutable"
        headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        if is_known(request, headers["ETag"]):
            return Response(None, 304, headers)
        if encoding:
            headers["Content-Encoding"] = encoding
        media_type = MEDIA_TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")
        return Response(content, 200, headers, media_type)


async def _read(request: Request, name: str) -> bytes:
    """Return the content of a file. Raises HTTPException 404."""
    messages: list[Message] = []

    async def collect(message: Message) -> None:
        messages.append(message)

    # Without headers, so that it is the whole file and no 304.
    scope = {**request.scope, "path": name, "headers": []}
    await request.app.router(scope, request.receive, collect)
    return b"".join(message.get("body", b"") for message in messages)

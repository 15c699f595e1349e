"""Paths of requests: one spelling of each for all that looks at them, and references in answers."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps.config import settings

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
ROOT = settings.server.root_path
# Where clients find the API, as far as the settings tell: an address, a path, or nothing.
BASE: str = settings.server.public_url or ROOT


def match_without_slash(routes: Iterable[BaseRoute]) -> None:
    """Make routes match the paths that PlainPaths leaves, without a slash at the end.

    Their own paths, which the documentation shows, stay as they are. Where one without a parameter
    matches, none with a parameter does: no word of a path is ever taken for a name.
    """
    ours = [route for route in routes if isinstance(route, Route) and route.path != "/"]
    words = {route.path.removesuffix("/") for route in ours if "{" not in route.path}
    for route in ours:
        pattern = route.path_regex.pattern.removesuffix("$").removesuffix("/")
        others = [word for word in sorted(words) if re.fullmatch(pattern, word)]
        if "{" in route.path and others:
            pattern = rf"^(?!(?:{'|'.join(map(re.escape, others))})\Z)" + pattern.removeprefix("^")
        route.path_regex = re.compile(rf"{pattern}\Z")


class PlainPaths:
    """Take `server.root_path` and a slash at the end off a request's path.

    Every path answers with and without the slash, and is the same to whatever looks at it.
    `raw_path` remains what the client sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if ROOT and f"{path}/".startswith(f"{ROOT}/"):
                path = path.removeprefix(ROOT)
            scope["path"] = path.removesuffix("/") or "/"
        await self.app(scope, receive, send)


class ControlCharacters:
    """Answer 404 to a path with a control character, whatever routes and others make of it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] == "http" and CONTROL.search(scope["path"]):
            app = JSONResponse({"detail": "Not Found"}, 404)
        await app(scope, receive, send)


class Head:
    """Answer HEAD as GET, without the body (RFC 9110, section 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            scope["method"] = "HEAD"  # by which the server knows that no body will come
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        scope["method"] = "GET"
        try:
            await self.app(scope, receive, send_without_body)
        finally:
            scope["method"] = "HEAD"


def reference(request: Request, child: str = "", **query: Any) -> str:
    """Refer to the path that was asked for, or to a `child` of it.

    The reference is relative (RFC 3986), and so right behind any proxy, or with
    `server.public_url` absolute. The name of a host that a client sends is never in it.
    """
    end = f"?{urlencode(query)}" if query else ""
    path = request.scope["path"]
    if settings.server.public_url:
        return f"{BASE}{quote(path).removesuffix('/')}/{child}{end}"
    if child and not request.scope["raw_path"].endswith(b"/"):
        child = f"{path.rpartition('/')[2]}/{child}"
    return child + end

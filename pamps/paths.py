"""References to paths of the API, and how routes match the paths of requests."""

import re
from collections.abc import Iterable
from urllib.parse import quote

from fastapi import Request
from starlette.routing import BaseRoute, Route, compile_path

from pamps.config import settings

ROOT_PATH = settings.server.root_path
# Where clients reach the API, as far as the settings say: an absolute URL, a path, or "".
BASE_URL = settings.server.public_url or ROOT_PATH


def match_without_slash(routes: Iterable[BaseRoute]) -> None:
    """Make routes match paths without a trailing slash, which PathMiddleware has removed.

    `route.path` keeps its slash, for the documentation. Literal paths win over parameters:
    `/user/me/` is never `/user/{username}/`. Parameters match no control characters.
    """
    own_routes = [route for route in routes if isinstance(route, Route) and route.path != "/"]
    literals = {route.path.removesuffix("/") for route in own_routes if "{" not in route.path}
    for route in own_routes:
        pattern = compile_path(route.path.removesuffix("/"))[0].pattern.removesuffix("$")
        pattern = pattern.replace("[^/]+", r"[^/\x00-\x1f\x7f-\x9f]+")
        excluded = [path for path in sorted(literals) if re.fullmatch(pattern, path)]
        if "{" in route.path and excluded:
            lookahead = rf"^(?!(?:{'|'.join(map(re.escape, excluded))})\Z)"
            pattern = lookahead + pattern.removeprefix("^")
        route.path_regex = re.compile(rf"{pattern}\Z")


def reference(request: Request, child: str = "") -> str:
    """Return a reference to the path of the request, or to a `child` of that path.

    It is relative (RFC 3986), so that it is right behind any proxy; with `server.public_url` it is
    absolute. It never contains the Host header of the request.
    """
    path = request.scope["path"]
    if settings.server.public_url:
        return f"{BASE_URL}{quote(path).removesuffix('/')}/{child}"
    if child and not request.scope["raw_path"].endswith(b"/"):
        child = f"{path.rpartition('/')[2]}/{child}"
    return child

"""The cookie with the refresh token of a web page that Pamps itself serves."""

import re
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

from fastapi import HTTPException, Request, Response

from pamps.config import settings
from pamps.paths import BASE_URL
from pamps.sessions import AccessToken, IssuedTokens
from pamps.setting_types import DEFAULT_PORTS

NAME = "refresh_token"
# Browsers send the cookie to this path only, with or without a slash at its end.
PATH = f"{urlsplit(BASE_URL).path}/refresh_token"
# The hosts that are reached without HTTPS: browsers send them no `Secure` cookie.
LOOPBACK = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?")


def _own_host(request: Request) -> str:
    """Return the host and port of Pamps as browsers see them."""
    host = urlsplit(settings.server.public_url).netloc or request.headers.get("Host", "")
    return host.lower()


def require_own_origin(request: Request) -> None:
    """Raise HTTPException 403 unless a page of Pamps' own origin sends the request.

    Browsers write the header `Origin`, and no page can change it. Without `server.public_url`,
    HTTPS is right for every request, as a proxy that is not trusted cannot tell that it speaks it.
    """
    public = urlsplit(settings.server.public_url).scheme
    schemes = [public] if public else [request.scope["scheme"], "https"]
    host = _own_host(request)
    own = [f"{scheme}://{host}".removesuffix(f":{DEFAULT_PORTS[scheme]}") for scheme in schemes]
    if request.headers.get("Origin") not in own:
        detail = "Origin must be that of this server: server.public_url, or the header Host"
        raise HTTPException(403, detail)


def _header(request: Request, value: str, max_age: int) -> dict[str, str]:
    by_http = LOOPBACK.fullmatch(_own_host(request)) or not settings.security.COOKIE_SECURE
    secure = "" if by_http else "; Secure"
    attributes = f"Max-Age={max_age}; Path={PATH}; HttpOnly; SameSite=Strict{secure}"
    return {"Set-Cookie": f"{NAME}={value}; {attributes}"}


def set_cookie(request: Request, response: Response, tokens: IssuedTokens) -> AccessToken:
    """Set the cookie to the refresh token, and return what is left for the body."""
    header = _header(request, tokens.token.refresh_token, tokens.refresh_lifetime)
    response.headers.update(header)
    return AccessToken(**tokens.token.model_dump(exclude={NAME}))


def clearing_header(request: Request) -> dict[str, str]:
    """Return the header of a response that deletes the cookie."""
    return _header(request, "", 0)


def read_cookie(request: Request) -> str:
    """Return the refresh token in the cookie of a request, or ""."""
    return request.cookies.get(NAME, "")


def read_set_cookie(response: Response) -> str:
    """Return the refresh token in the cookie that a response sets, or ""."""
    cookies = SimpleCookie(response.headers.get("Set-Cookie", ""))
    return cookies[NAME].value if NAME in cookies else ""

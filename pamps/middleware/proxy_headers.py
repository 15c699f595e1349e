"""X-Forwarded-For and X-Forwarded-Proto of trusted proxies."""

import ipaddress
import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware as UvicornProxyHeaders

logger = logging.getLogger(__name__)

FORWARDED_FOR, FORWARDED_PROTO = b"x-forwarded-for", b"x-forwarded-proto"


@lru_cache(maxsize=1024)
def _unmapped(address: str) -> str:
    """Return an IPv4-mapped IPv6 address such as `::ffff:192.0.2.1` as the IPv4 address."""
    try:
        return str(getattr(ipaddress.ip_address(address), "ipv4_mapped", None) or address)
    except ValueError:
        return address


def _joined(scope: Scope, name: bytes) -> str:
    """Return the values of all headers of this name, separated by commas."""
    return b",".join(value for key, value in scope["headers"] if key == name).decode("latin-1")


def _normalize(scope: Scope) -> None:
    """Replace repeated or mixed forwarded headers by one of each, as uvicorn understands them."""
    addresses, schemes = _joined(scope, FORWARDED_FOR), _joined(scope, FORWARDED_PROTO)
    names = FORWARDED_FOR, FORWARDED_PROTO
    headers = [header for header in scope["headers"] if header[0] not in names]
    if addresses:
        value = ",".join(_unmapped(address.strip()) for address in addresses.split(","))
        headers.append((FORWARDED_FOR, value.encode("latin-1")))
    if schemes:
        # Of several proxies, the first has spoken to the client.
        value = schemes.partition(",")[0].strip().lower()
        headers.append((FORWARDED_PROTO, value.encode("latin-1")))
    scope["headers"] = headers


class ProxyHeadersMiddleware:
    """Take the client's address and scheme from the headers of trusted proxies.

    The first other peer that sends such a header is named in a warning.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[str]) -> None:
        self.app = app
        uvicorn_app = cast(ASGI3Application, app)
        uvicorn_middleware = UvicornProxyHeaders(uvicorn_app, list(map(_unmapped, trusted)))
        self.trusted_hosts = uvicorn_middleware.trusted_hosts
        self.trusting_app = cast(ASGIApp, uvicorn_middleware)
        self.warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] == "http" and scope["client"]:
            peer, port = scope["client"]
            peer = _unmapped(peer)
            scope["client"] = peer, port
            if any(name in (FORWARDED_FOR, FORWARDED_PROTO) for name, _ in scope["headers"]):
                if peer in self.trusted_hosts:
                    _normalize(scope)
                    app = self.trusting_app
                elif not self.warned:
                    self.warned = True
                    logger.warning(
                        "X-Forwarded-For and X-Forwarded-Proto of %s are ignored:"
                        " it is not in server.trusted_proxies",
                        peer,
                    )
        await app(scope, receive, send)

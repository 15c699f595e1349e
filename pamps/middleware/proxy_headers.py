"""X-Forwarded-For and X-Forwarded-Proto of trusted proxies."""

import ipaddress
import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware as UvicornProxyHeaders

from pamps.middleware import BaseMiddleware

logger = logging.getLogger(__name__)

FORWARDED_FOR, FORWARDED_PROTO = b"x-forwarded-for", b"x-forwarded-proto"


@lru_cache(maxsize=1024)
def _unmapped(address: str) -> str:
    """Return an IPv4-mapped IPv6 address such as `::ffff:192.0.2.1` as the IPv4 address."""
    try:
        return str(getattr(ipaddress.ip_address(address), "ipv4_mapped", None) or address)
    except ValueError:
        return address


def _values(scope: Scope, name: bytes) -> list[str]:
    """Return the values of all headers of this name, which may be lists."""
    lines = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return [value.strip() for line in lines for value in line.split(",")]


class ProxyHeadersMiddleware(BaseMiddleware):
    """Take the client's address and scheme from the headers of trusted proxies.

    The first other peer that sends such a header is named in a warning.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[str]) -> None:
        super().__init__(app)
        uvicorn_app = cast(ASGI3Application, app)
        uvicorn_middleware = UvicornProxyHeaders(uvicorn_app, list(map(_unmapped, trusted)))
        self.trusted_hosts = uvicorn_middleware.trusted_hosts
        self.warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["client"]:
            peer, port = scope["client"]
            scope["client"] = _unmapped(peer), port
            if any(name in (FORWARDED_FOR, FORWARDED_PROTO) for name, _ in scope["headers"]):
                self._forwarded(scope)
        await self.app(scope, receive, send)

    def _forwarded(self, scope: Scope) -> None:
        peer, _ = scope["client"]
        if peer in self.trusted_hosts:
            addresses = ",".join(map(_unmapped, _values(scope, FORWARDED_FOR)))
            client = self.trusted_hosts.get_trusted_client_address(addresses)
            if client[0]:
                scope["client"] = client
            # Of several proxies, the first has spoken to the client.
            schemes = [scheme.lower() for scheme in _values(scope, FORWARDED_PROTO)[:1]]
            if schemes in (["http"], ["https"]):
                (scope["scheme"],) = schemes
        elif not self.warned:
            self.warned = True
            logger.warning(
                "X-Forwarded-For and X-Forwarded-Proto of %s are ignored:"
                " it is not in server.trusted_proxies",
                peer,
            )

"""What proxies say of a request: who sent it, and by which scheme."""

import ipaddress
import logging
from functools import lru_cache
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

logger = logging.getLogger(__name__)

FORWARDED = b"x-forwarded-for", b"x-forwarded-proto"


@lru_cache(maxsize=1024)
def _unmapped(address: str) -> str:
    """An IPv4 address as such, also where IPv6 has it as `::ffff:192.0.2.1`."""
    try:
        return str(getattr(ipaddress.ip_address(address), "ipv4_mapped", None) or address)
    except ValueError:
        return address


def _simplify(scope: Scope) -> None:
    """Put what all lines of each header say into the form that uvicorn understands."""
    headers = [header for header in scope["headers"] if header[0] not in FORWARDED]
    addresses, schemes = (
        b",".join(value for key, value in scope["headers"] if key == name).decode("latin-1")
        for name in FORWARDED
    )
    if addresses:
        value = ",".join(_unmapped(address.strip()) for address in addresses.split(","))
        headers.append((FORWARDED[0], value.encode("latin-1")))
    if schemes:
        # The first is that of the client, if there are several proxies.
        value = schemes.partition(",")[0].strip().lower()
        headers.append((FORWARDED[1], value.encode("latin-1")))
    scope["headers"] = headers


class ProxyHeaders:
    """Believe the proxies that are trusted, and say once which other peer claims to be one."""

    def __init__(self, app: ASGIApp, trusted: list[str]) -> None:
        self.app = app
        self.believing: Any = ProxyHeadersMiddleware(cast(Any, app), list(map(_unmapped, trusted)))
        self.warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] == "http" and scope["client"]:
            peer, port = scope["client"]
            scope["client"] = peer, port = _unmapped(peer), port
            if any(name in FORWARDED for name, _ in scope["headers"]):
                if peer in self.believing.trusted_hosts:
                    _simplify(scope)
                    app = self.believing
                elif not self.warned:
                    self.warned = True
                    logger.warning(
                        "X-Forwarded-For and X-Forwarded-Proto of %s are ignored:"
                        " it is not in server.trusted_proxies",
                        peer,
                    )
        await app(scope, receive, send)

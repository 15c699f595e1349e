"""The kinds of values that settings have, with the rules that need no other setting."""

import importlib.util
import re
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

# How browsers write an origin (RFC 6454, section 6.2): without the default port of its scheme.
ORIGIN = r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?"
DEFAULT_PORTS = {"http": 80, "https": 443}
# A path that needs no percent-encoding and does not end with a slash; and a URL with such a path.
PATH = "(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*"
URL = rf"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?{PATH}"
# A host name or an address of IPv4 or IPv6, or nothing.
HOST_NAME = "[A-Za-z0-9._-]*|[0-9A-Fa-f:.]+"
# An e-mail address in ASCII; and a sender: an address, or a name and an address in angle brackets.
MAIL_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+"
SENDER = rf'([^\x00-\x1f\x7f<>@,;:()"\\]+ <{MAIL_ADDRESS}>|{MAIL_ADDRESS})?'
# A rate limit, as the `limits` package writes it.
RATE_LIMIT = "[1-9][0-9]{0,8}/([1-9][0-9]{0,5} )?(second|minute|hour|day)s?"


def _is_url(url: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and parts.port != 0  # a port over 65535 is a ValueError
    except ValueError:
        return False


def matching(pattern: str, problem: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(problem)
        return value

    return AfterValidator(check)


def _check_redis(uri: str) -> str:
    if uri and not importlib.util.find_spec("redis"):
        raise ValueError("needs the package redis: pip install 'pamps[redis]'")
    if uri and not _is_url(uri, "redis", "rediss"):
        raise ValueError("must be empty or like redis://host:6379")
    return uri


def _check_origin(origin: str) -> str:
    scheme = origin.partition(":")[0]
    is_origin = re.fullmatch(ORIGIN, origin) and _is_url(origin, scheme)
    if origin != "*" and not (is_origin and urlsplit(origin).port != DEFAULT_PORTS.get(scheme, 0)):
        rules = "lower case, no slash at the end, no default port"
        raise ValueError(f"must be * or like https://example.com: {rules}")
    return origin


def _check_endpoint(endpoint: str) -> str:
    if endpoint and not importlib.util.find_spec("opentelemetry.exporter"):
        raise ValueError("needs its packages: pip install 'pamps[telemetry]'")
    if endpoint and not (_is_url(endpoint, "http", "https") and urlsplit(endpoint).hostname):
        raise ValueError("must be empty or like http://localhost:4318")
    return endpoint


def _check_public_url(url: str) -> str:
    if url and not (_is_url(url, "http", "https") and re.fullmatch(URL, url)):
        rules = "without a slash at the end, a query or a user"
        raise ValueError(f"must be empty or like https://example.com/api, {rules}")
    return url


def _check_network(network: str) -> str:
    try:
        ip_network(network)
    except ValueError:
        raise ValueError("must be addresses or networks like 10.0.0.0/8") from None
    return network


Count = Annotated[int, Field(ge=1, le=10_000_000)]
CountOrZero = Annotated[int, Field(ge=0, le=10_000_000)]
Timeout = Annotated[int, Field(ge=1, le=3600)]
RateLimit = Annotated[str, matching(RATE_LIMIT, "must be like 300/5 minutes")]
RootPath = Annotated[str, matching(PATH, "must be empty or like /api, without a slash at the end")]
RedisURI = Annotated[str, AfterValidator(_check_redis)]
Origin = Annotated[str, AfterValidator(_check_origin)]
Endpoint = Annotated[str, AfterValidator(_check_endpoint)]
PublicURL = Annotated[str, AfterValidator(_check_public_url)]
HostName = Annotated[str, matching(HOST_NAME, "must be empty or a host name or address")]
MailSender = Annotated[
    str, matching(SENDER, "must be an address, or like Pamps <pamps@example.com>")
]
Network = Annotated[str, AfterValidator(_check_network)]

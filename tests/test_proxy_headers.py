"""What is believed of a caller's address and scheme, and of whom."""

import pytest
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from starlette.types import Receive, Scope, Send

from pamps.middleware.proxy_headers import ProxyHeadersMiddleware

PROXY = "10.0.0.7"


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers with what it has been told."""
    answer = JSONResponse({"address": scope["client"][0], "scheme": scope["scheme"]})
    await answer(scope, receive, send)


def told(peer: str, *headers: tuple[str, str]) -> tuple[str, str]:
    app = ProxyHeadersMiddleware(tell, ["10.0.0.0/8", "fd00::1"])
    answer = TestClient(app, client=(peer, 1)).get("/", headers=list(headers)).json()
    return answer["address"], answer["scheme"]


@pytest.mark.parametrize(
    ("said", "scheme"),
    [
        (["https"], "https"),
        (["HTTPS"], "https"),
        (["https,http"], "https"),
        (["https , http"], "https"),
        (["https", "http"], "https"),
        (["http, https"], "http"),
        (["ftp"], "http"),
        ([""], "http"),
        (["é"], "http"),
    ],
)
def test_the_scheme_that_a_proxy_says(said, scheme):
    lines = [("X-Forwarded-Proto", value.encode()) for value in said]
    assert told(PROXY, *lines) == (PROXY, scheme)


@pytest.mark.parametrize("peer", [PROXY, f"::ffff:{PROXY}", "::FFFF:a00:7", "fd00::1"])
@pytest.mark.parametrize(
    ("said", "address"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
        (["198.51.100.1", "192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, 10.9.9.9"], "192.0.2.1"),
        (["::ffff:192.0.2.1, ::ffff:10.9.9.9"], "192.0.2.1"),
        (["2001:db8::1"], "2001:db8::1"),
    ],
)
def test_the_address_that_a_proxy_says(peer, said, address):
    lines = [("X-Forwarded-For", value) for value in said]
    assert told(peer, *lines)[0] == address


def test_an_address_of_ipv4_is_always_the_same():
    assert told("::ffff:192.0.2.1") == ("192.0.2.1", "http")


def test_nobody_else_is_believed():
    forged = ("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https")
    for peer in ("198.51.100.1", "::ffff:198.51.100.1"):
        assert told(peer, *forged) == ("198.51.100.1", "http")


def test_one_warning_names_the_setting(caplog):
    client = TestClient(ProxyHeadersMiddleware(tell, []), client=("198.51.100.1", 1))
    client.get("/")
    assert caplog.messages == []
    for _ in range(3):
        client.get("/", headers={"X-Forwarded-For": "192.0.2.1"})
    (warning,) = caplog.messages
    assert "198.51.100.1 " in warning
    assert "server.trusted_proxies" in warning

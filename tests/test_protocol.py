"""HTTP on the wire: one meaning for one request, and one answer to it."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from tests import canary
from tests.servers import served

USER = {"email": "ana@pamps.com", "username": "ana", "password": canary.password("ana")}
HOST = "Host: pamps\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
LAST = f"GET /health/live HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A server behind what could be a proxy on this machine."""
    settings = {"PAMPS_SERVER__trusted_proxies": '["127.0.0.1"]'}
    settings["PAMPS_RATE_LIMIT__requests"] = "10000/minute"
    with served(settings) as (process, client):
        yield client
        process.terminate()


@pytest.fixture
def ana(client: httpx.Client) -> dict[str, str]:
    """The headers of a user who is signed in."""
    assert client.post("/user/", json=USER).status_code == 201
    token = client.post("/token", data=USER).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


def exchange(client: httpx.Client, first: str, then: str = LAST) -> tuple[list[int], dict]:
    """Send that on a connection of its own, and give all statuses and the last answer.

    What comes `then` is sent when the server has said that it waits for it, or else at once.
    """
    address = client.base_url.host, client.base_url.port
    with socket.create_connection(address, timeout=20) as connection:
        answers = b""
        if "100-continue" in first:
            connection.sendall(first.encode())
            answers = connection.recv(65536)
            assert answers == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(then.encode())
        else:
            connection.sendall((first + then).encode())
        while data := connection.recv(65536):
            answers += data
    statuses = re.findall(rb"HTTP/1\.1 ([2-5]\d\d) ", answers)
    return [int(status) for status in statuses], json.loads(answers.rpartition(b"\r\n\r\n")[2])


def chunk(text: str) -> str:
    return f"{len(text):x}\r\n{text}\r\n0\r\n\r\n"


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"], ids=["at once", "later"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0"])
def test_a_request_that_offers_an_upgrade_is_read_to_its_end(
    client, ana, protocol, chunked, expect
):
    """Its body is never taken for the next request, which gets its own answer."""
    authorization = f"Authorization: {ana['Authorization']}\r\n"
    offer = f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\n{expect}"
    texts = f"DELETE /user/me/ HTTP/1.1\r\n{HOST}{authorization}\r\n", '{"text": "hello"}'
    for path, text, status in zip(("/token", "/post/"), texts, (422, 201), strict=True):
        framing = CHUNKED if chunked else f"Content-Length: {len(text)}\r\n"
        head = f"POST {path} HTTP/1.1\r\n{HOST}{offer}{authorization}{framing}"
        head += "Content-Type: application/json\r\n\r\n"
        statuses, last = exchange(client, head, (chunk(text) if chunked else text) + LAST)
        assert (statuses, last) == ([status, 200], {"status": "ok"})
    assert client.get("/user/me/", headers=ana).status_code == 200


def test_requests_that_offer_an_upgrade_one_after_the_other(client):
    offer = f"GET /post/ HTTP/1.1\r\n{HOST}Upgrade: h2c\r\nConnection: upgrade\r\n\r\n"
    assert exchange(client, offer * 3)[0] == [200] * 4


def test_trailers_are_discarded(client):
    """Or a client could say what only a proxy may: who it is."""
    body, answers = "username=ana&password=wrong", []
    for n in range(6):
        head = f"POST /token HTTP/1.1\r\n{HOST}{CHUNKED}"
        head += "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        trailer = f"X-Forwarded-For: 198.51.100.{n}\r\nX-Forwarded-For: 203.0.113.{n}\r\n\r\n"
        answers += exchange(client, head + chunk(body)[:-2] + trailer)[0]
    assert answers == [401, 200] * 5 + [429, 200]


HEAD = f"POST /user/ HTTP/1.1\r\n{HOST}"
OPEN = f"{HEAD}{CHUNKED}\r\n1\r\n{{\r\n0\r\n"
LARGE = "x" * 33_000
# What is sent, the status, and what the answer says.
REFUSED = {
    "no host": ("GET /post/ HTTP/1.1\r\n\r\n", 400, "There must be one Host header"),
    "two hosts": (f"GET /post/ HTTP/1.1\r\n{HOST * 2}\r\n", 400, "There must be one Host header"),
    "two hosts, HTTP/1.0": (f"GET / HTTP/1.0\r\n{HOST * 2}\r\n", 400, "one Host header"),
    "a host with a path": ("GET / HTTP/1.1\r\nHost: a/token\r\n\r\n", 400, "Host header is inv"),
    "a host with a blank": ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "Host header is invalid"),
    "the offer of an upgrade without a host": (
        "GET /post/ HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        400,
        "There must be one Host header",
    ),
    "CONNECT": (f"CONNECT a:1 HTTP/1.1\r\n{HOST}\r\n", 501, "CONNECT is not supported"),
    "HTTP/2": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "Invalid HTTP request"),
    "HTTP/2.0 in the words of 1.1": (f"GET / HTTP/2.0\r\n{HOST}\r\n", 505, "HTTP Version Not"),
    "HTTP/0.9": ("GET /post/\r\n\r\n", 505, "HTTP Version Not Supported"),
    "HTTP/1.2": (f"GET / HTTP/1.2\r\n{HOST}\r\n", 400, "Invalid HTTP request"),
    "an unknown method": (f"FOO / HTTP/1.1\r\n{HOST}\r\n", 400, "Invalid HTTP request"),
    "a path that is no ASCII": (f"GET /é HTTP/1.1\r\n{HOST}\r\n", 400, "Invalid HTTP request"),
    "a folded line": (f"GET / HTTP/1.1\r\n{HOST}X: a\r\n b\r\n\r\n", 400, "Unexpected whitespace"),
    "bare LF": ("GET /post/ HTTP/1.1\nHost: pamps\n\n", 400, "Expected CRLF"),
    "one bare LF": ("GET / HTTP/1.1\r\nHost: pamps\nX: a\r\n\r\n", 400, "Missing expected CR"),
    "a blank before the colon": ("GET / HTTP/1.1\r\nHost : pamps\r\n\r\n", 400, "Invalid header"),
    "a name that is empty": (f"GET / HTTP/1.1\r\n{HOST}: a\r\n\r\n", 400, "Invalid header token"),
    "NUL": (f"GET / HTTP/1.1\r\n{HOST}X: a\0b\r\n\r\n", 400, "Invalid header value"),
    "a length and chunks": (f"{HEAD}Content-Length: 1\r\n{CHUNKED}\r\n{{", 400, "can't be present"),
    "chunks and a length": (f"{HEAD}{CHUNKED}Content-Length: 1\r\n\r\n{{", 400, "can't be present"),
    "two lengths": (
        f"{HEAD}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{{}}",
        400,
        "Duplicate Content-Length",
    ),
    "a list of lengths": (f"{HEAD}Content-Length: 1, 1\r\n\r\n{{", 400, "Content-Length"),
    "a length with a sign": (f"{HEAD}Content-Length: +1\r\n\r\n{{", 400, "Content-Length"),
    "a length in a trailer": (f"{OPEN}Content-Length: 1\r\n\r\n", 400, "can't be present"),
    "the end of a connection in a trailer": (
        f"{OPEN}Connection: close\r\n\r\n",
        400,
        "Connection cannot be a trailer",
    ),
    "the same in the words of old proxies": (
        f"{OPEN}proxy-connection: close\r\n\r\n",
        400,
        "Connection cannot be a trailer",
    ),
    "chunks in HTTP/1.0": (
        f"POST /user/ HTTP/1.0\r\n{HOST}{CHUNKED}\r\n0\r\n\r\n",
        400,
        "Transfer-Encoding needs HTTP/1.1",
    ),
    "gzip": (f"{HEAD}Transfer-Encoding: gzip\r\n\r\n", 501, "only Transfer-Encoding is chunked"),
    "gzip in chunks": (
        f"{HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
        "The only Transfer-Encoding is chunked",
    ),
    "chunks twice": (f"{HEAD}{CHUNKED * 2}\r\n0\r\n\r\n", 400, "Invalid `Transfer-Encoding`"),
    "a chunk that has no size": (f"{HEAD}{CHUNKED}\r\nx\r\n", 400, "Invalid character in chunk"),
    "a chunk with bare LF": (f"{HEAD}{CHUNKED}\r\n1\n{{\n0\n\n", 400, "Missing expected CR"),
    "a chunk that is too long": (f"{HEAD}{CHUNKED}\r\n1\r\n{{x", 400, "Invalid HTTP request"),
    "a large head": (f"{HEAD}X: {LARGE}\r\n\r\n", 431, "Request Header Fields Too Large"),
    "a large trailer": (f"{OPEN}X: {LARGE}\r\n\r\n", 431, "Request Header Fields Too Large"),
    "many trailers": (
        OPEN + "X: y\r\n" * 6000 + "\r\n",
        431,
        "Request Header Fields Too Large",
    ),
    "head and trailers": (
        f"{HEAD}X: {LARGE[:20_000]}\r\n{CHUNKED}\r\n0\r\nX: {LARGE[:20_000]}\r\n\r\n",
        431,
        "Request Header Fields Too Large",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_single_meaning_is_refused(client, case):
    """With one answer, and nothing that follows on the connection is read."""
    sent, status, words = REFUSED[case]
    statuses, answer = exchange(client, sent)
    assert statuses == [status]
    assert words in answer.pop("detail")
    assert answer == {}


BAD_BODY = f"{CHUNKED}\r\nx\r\n"


@pytest.mark.parametrize(
    ("sent", "expected"),
    {
        "no head": (f"GET /post/ HTTP/1.1\r\n{HOST}\r\nnonsense\r\n\r\n", [200]),
        "no body": (
            f"GET /post/ HTTP/1.1\r\n{HOST}\r\nPOST /post/ HTTP/1.1\r\n{HOST}{BAD_BODY}",
            [200, 400],
        ),
        "answered before it was whole": (f"GET /nowhere HTTP/1.1\r\n{HOST}{BAD_BODY}", [400]),
    }.values(),
)
def test_each_request_before_a_refusal_has_its_own_answer(client, sent, expected):
    assert exchange(client, sent)[0] == expected


def test_too_many_requests_at_once_on_a_connection():
    """It is cut off, and what was begun for it ends without an error in the log."""
    log: list[str] = []
    with served({}, log=log) as (process, other):
        address = other.base_url.host, other.base_url.port
        with socket.create_connection(address, timeout=20) as connection:
            connection.sendall(f"GET /post/ HTTP/1.1\r\n{HOST}\r\n".encode() * 18)
            with suppress(ConnectionResetError):
                assert connection.recv(65536) == b""
        assert other.get("/post/").status_code == 200
        process.terminate()
    assert [line for line in log if " ERROR " in line] == []


SERVED = {
    "HTTP/1.0 without a host": ("GET /post/ HTTP/1.0\r\n\r\n", [200]),
    "a host that is empty": ("GET /post/ HTTP/1.1\r\nHost:\r\n\r\n", [200, 200]),
    "a host with a port": ("GET /post/ HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n", [200, 200]),
    "the whole address as target": (f"GET http://a/post/ HTTP/1.1\r\n{HOST}\r\n", [200, 200]),
    "the target *": (f"OPTIONS * HTTP/1.1\r\n{HOST}\r\n", [404, 200]),
    "blank lines before": (f"\r\n\r\nGET /post/ HTTP/1.1\r\n{HOST}\r\n", [200, 200]),
    "an extension of a chunk": (f"{HEAD}{CHUNKED}\r\n1;a=b\r\n{{\r\n0\r\n\r\n", [422, 200]),
    "trailers": (f"{OPEN}X: {LARGE[:30_000]}\r\nHost: b\r\nUpgrade: h2c\r\n\r\n", [422, 200]),
    "a large header": (f"{HEAD}X: {LARGE[:30_000]}\r\nContent-Length: 0\r\n\r\n", [422, 200]),
}


@pytest.mark.parametrize("case", SERVED)
def test_what_is_unusual_and_clear_is_served(client, case):
    sent, statuses = SERVED[case]
    assert exchange(client, sent)[0] == statuses

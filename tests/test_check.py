"""`pamps check`: what it says of Pamps, of services that differ, and of what is no service."""

import json
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.check_services import Change, Exchange, answering, serving
from tests.helpers import assert_one_red_line, invoke
from tests.servers import run


def report(address: str, *options: str) -> dict:
    """What the command says of a service, as JSON."""
    done = invoke("check", address, "--json", *options)
    assert done.stderr == ""
    document = json.loads(done.stdout)
    failed, not_tried = document["failed"], document["not_tried"]
    assert done.returncode == failed or (failed == 0 and not_tried and done.returncode == 1)
    return document


def outcomes(document: dict, outcome: str) -> set[str]:
    ids = {check["id"] for check in document["checks"] if check["outcome"] == outcome}
    assert len(ids) == document[outcome]
    return ids


def test_pamps_passes_all(api_client):
    with serving(api_client) as address:
        document = report(address)
        assert document["passed"] == len(document["checks"]) > 40
        done = invoke("check", address, "--lang", "pt-BR")
        assert done.returncode == 0
        assert "falhou: 0, em aberto: 0, não testado: 0" in done.stdout
        assert "│ ✓ passou │ Linha do tempo " in done.stdout


def test_a_part(api_client):
    with serving(api_client) as address:
        document = report(address, "--only", "social", "--only", "like")
        assert {check["group"] for check in document["checks"]} == {"social", "like"}
        assert outcomes(document, "passed") >= {"follow", "timeline", "like", "likes-by-user"}
        with serving(api_client, answered("POST /token", 500)) as broken:
            document = report(broken, "--only", "social")
        assert outcomes(document, "failed") == {"sign-in", "sign-in-second", "sign-in-third"}
        assert "timeline" in outcomes(document, "not_tried")


def answered(route: str, status: int, body: object = None, **headers: str) -> Change:
    """A route answers this, and all others as Pamps does."""

    def change(exchange: Exchange) -> httpx.Response | None:
        if exchange.route != route:
            return None
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.Response(status, json=body, headers=names)

    return change


def changed(route: str, new: Callable[[Any], object], status: int | None = None) -> Change:
    """A route answers what Pamps does, with another body or status when it succeeds."""

    def change(exchange: Exchange) -> httpx.Response | None:
        if exchange.route != route:
            return None
        answer = exchange.answer()
        if not answer.is_success:
            return answer
        content = json.dumps(new(answer.json()))
        return httpx.Response(status or answer.status_code, text=content)

    return change


def again(route: str, status: int) -> Change:
    """A route answers with this status when somebody asks it for the same again."""
    seen = set()

    def change(exchange: Exchange) -> httpx.Response | None:
        key = exchange.path, exchange.request.headers.get("Authorization")
        if exchange.route != route or key not in seen:
            seen.add(key)
            return None
        return httpx.Response(status, text="Internal Server Error")

    return change


def all_of(*changes: Change) -> Change:
    def change(exchange: Exchange) -> httpx.Response | None:
        return next(filter(None, (change(exchange) for change in changes)), None)

    return change


def without(name: str) -> Callable[[dict], dict]:
    return lambda body: {field: value for field, value in body.items() if field != name}


def test_what_the_workshop_demands(api_client):
    change = all_of(
        changed("POST /user/", lambda user: user | {"hashed_password": "x"}),
        changed("POST /post/", lambda post: post | {"date": 5}, 200),
        changed("GET /post/", lambda posts: {"items": posts}),
        changed("GET /post/N/", without("replies")),
        changed("GET /post/user/N/", lambda posts: posts[:1]),
        changed("GET /user/", lambda users: [without("bio")(user) for user in users]),
        changed("POST /refresh_token", without("token_type")),
        changed("GET /post/likes/N/", lambda posts: [{"post_id": post["id"]} for post in posts]),
        answered("GET /user/N/", 404, {"detail": "User not found"}),
    )
    with serving(api_client, change) as address:
        document = report(address)
    failed = {"sign-up", "write", "write-renewed", "reply", "reply-own", "write-third", "author"}
    failed |= {"home", "post", "posts-by-user", "posts-by-user-with-replies", "user-list"}
    assert outcomes(document, "failed") == failed | {"refresh", "likes-by-user", "profile"}
    assert outcomes(document, "open") == {"likes-once"}
    assert document["not_tried"] == 0
    told = {check["id"]: check for check in document["checks"]}
    assert told["sign-up"]["expected"] == "no field hashed_password"
    assert told["home"]["expected"] == "an array"
    assert told["post"]["received"].startswith("replies: missing\n200 {")
    assert told["profile"]["received"] == '404 {"detail":"User not found"}'
    assert "UserResponse" in told["sign-up"]["hint"]


def test_what_the_workshop_leaves_open(api_client):
    change = all_of(
        changed("POST /user/", lambda user: user | {"email": "ana@example.com"}),
        changed("GET /user/", lambda users: []),
        changed("GET /post/user/N/", lambda posts: posts[::-1]),
        changed("GET /user/timeline", lambda posts: posts + posts),
        again("POST /user/follow/N", 409),
        again("POST /post/N/like/", 500),
        changed("POST /post/N/like/", lambda like: None, 204),
    )
    with serving(api_client, change) as address:
        document = report(address)
    assert document["failed"] == document["not_tried"] == 0
    left_open = {"sign-up", "user-list", "posts-by-user", "timeline-once", "like-again"}
    assert outcomes(document, "open") == left_open


def test_what_is_needed_and_missing(api_client):
    change = all_of(
        changed("POST /user/", without("avatar")),
        answered("POST /user/follow/N", 404),
        answered("GET /post/likes/N/", 404),
    )
    with serving(api_client, change) as address:
        document = report(address)
        failed = outcomes(document, "failed")
        assert failed >= {"sign-up", "sign-up-minimal", "follow", "likes-by-user"}
        not_tried = {"timeline", "follow-again", "likes-once", "likes-anonymous"}
        assert outcomes(document, "not_tried") >= not_tried
        reasons = {check["id"]: check["reason"] for check in document["checks"]}
        assert reasons["timeline"] == "needs: Follow a user"
        # What only others need is told of only if it keeps them from being tried.
        document = report(address, "--only", "like")
        assert outcomes(document, "failed") == {"likes-by-user"}


def test_addresses(api_client):
    """A service below a path, which redirects to the slash, and asks for a pause."""
    pauses = []

    def change(exchange: Exchange) -> httpx.Response | None:
        url = exchange.request.url
        assert url.path.startswith("/api/v1/")
        exchange.path = url.path.removeprefix("/api/v1")
        exchange.request.url = url.copy_with(path=exchange.path)
        if len(pauses) < 2:
            pauses.append(exchange.path)
            return httpx.Response(429, headers={"Retry-After": "0"})
        if not exchange.path.endswith("/"):
            target = url.copy_with(path=f"{url.path}/", scheme="http", host="127.0.0.1")
            return httpx.Response(307, headers={"Location": target.raw_path.decode()})
        return None

    with serving(api_client, change) as address:
        document = report(f"{address}/api/v1/")
        assert document["passed"] == len(document["checks"])
        assert pauses == ["/user/", "/user/"]


HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<p>\x1b[31mHi</p>"
DEEP = b"HTTP/1.1 201 OK\r\nConnection: close\r\n\r\n" + b"[" * 100_000
HUGE = b"HTTP/1.1 201 OK\r\nConnection: close\r\n\r\n" + b"[" + b"1," * 3_000_000
AWAY = b"HTTP/1.1 302 Found\r\nLocation: http://example.com/\r\nContent-Length: 0\r\n\r\n"
NOWHERE = b"HTTP/1.1 307 X\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n"
BUSY = b"HTTP/1.1 429 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"
LATER = b"HTTP/1.1 503 X\r\nRetry-After: " + b"9" * 5000 + b"\r\nContent-Length: 0\r\n\r\n"
GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("content", "received", "hint"),
    [
        (HTML, "200 text/html <p>\\x1b[31mHi</p>", "without /docs"),
        (DEEP, "201 [[[[", "without /docs"),
        (HUGE, "an answer of more than 5 MB", ""),
        (AWAY, "302 → http://example.com/", "Redirects are followed only"),
        (NOWHERE, "no answer: ", ""),
        (BUSY, "429, empty", "The service limits requests"),
        (LATER, "503, empty", "The service failed"),
        (GZIP, "a compressed answer", ""),
        (b"SSH-2.0-OpenSSH\r\n", "not HTTP: ", ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "not HTTP: ", ""),
        (b"HTTP/1.1 500 X\r\nContent-Length: 4\r\n\r\nnull", "500 null", "its log"),
        (b"", "not HTTP: ", ""),
    ],
)
def test_no_service(content, received, hint):
    with answering(content) as address:
        done = invoke("check", address, "--only", "users")
    assert done.returncode > 0
    lines = " ".join(line.strip("│ ") for line in done.stdout.splitlines())
    assert f"received: {received}" in lines
    assert hint in lines


def test_a_token_that_no_header_can_contain(api_client):
    token = changed("POST /token", lambda tokens: tokens | {"access_token": "secret\r\nX: y"})
    with serving(api_client, token) as address:
        for options in ([], ["--json"]):
            done = invoke("check", address, "--only", "posts", *options)
            assert done.returncode > 0
            assert "cannot be sent" in done.stdout
            assert "secret" not in done.stdout


def test_ids_that_are_none(api_client):
    change = all_of(
        changed("POST /post/", lambda post: post | {"id": "\ud800 /?"}),
        changed("POST /user/", lambda user: user | {"id": {}}),
        changed("GET /user/", lambda users: [{"username": {}}, users, None, True]),
    )
    with serving(api_client, change) as address:
        document = report(address, "--only", "posts", "--only", "users")
    assert outcomes(document, "failed") >= {"write", "post-without-slash", "user-list"}


def test_values_that_are_huge(api_client):
    """They are neither shown in full nor sent."""
    huge = "x" * 100_000
    change = changed("POST /user/", lambda user: user | {huge + "password": 1})
    with serving(api_client, change) as address:
        done = invoke("check", address)
    assert done.returncode > 0
    assert len(done.stdout) < 100_000


@pytest.mark.parametrize("kind", ["integer", "bearer"])
def test_values_that_are_too_deep_to_show(kind):
    """What could just be read is shown deeper in the stack, where it may be too deep."""
    from pamps.check.client import Answer
    from pamps.check.matching import compare
    from pamps.check.model import Expected, Kind

    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    answer = Answer("http://a", 200, httpx.Headers(), b"", is_json=True, body={"id": deep})
    expected = Expected(status=("200",), body={"id": Kind(kind)})
    mismatch = compare(expected, answer, None)
    assert mismatch
    assert mismatch.received.en.startswith("id: deeply nested")


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "HTTP_PROXY"])
def test_an_environment_that_is_wrong(name, monkeypatch):
    monkeypatch.setenv(name, "nonsense://nowhere")
    document = report("http://127.0.0.1:1", "--only", "users")
    assert document["failed"] == 1
    assert document["checks"][0]["reason"].startswith("no answer: ")


def test_no_answer(monkeypatch):
    """The time for one answer is bounded, however slowly it comes; nothing else is tried then."""
    from pamps.check import client

    monkeypatch.setattr(client, "SECONDS", 0.2)
    with answering(b"HTTP/1.1 200 OK\r\nX: ", stays_open=True) as address:
        document = report(address)
    assert (document["failed"], document["passed"]) == (1, 0)
    assert document["checks"][0]["reason"] == "no answer within 0.2 seconds"
    assert outcomes(document, "not_tried") >= {"profile-unknown", "like"}


def test_the_time_for_all_is_bounded(api_client, monkeypatch):
    from pamps.check import client

    monkeypatch.setattr(client, "TOTAL_SECONDS", 0)
    with serving(api_client) as address:
        document = report(address)
    assert document["not_tried"] == len(document["checks"])


def test_tls():
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        document = report(f"https://{address}", "--only", "users")
    assert "no TLS: " in document["checks"][0]["reason"]


@pytest.mark.parametrize(
    "url",
    ["ftp://host", "http://", "http://host:99999", "host/?a=1", "http://a:b@host", "http://["],
)
def test_no_url(url):
    assert_one_red_line(invoke("check", url), "the URL must be that of an API")
    told = invoke("check", url, "--lang", "pt-BR")
    assert_one_red_line(told, "a URL deve ser a de uma API")


IMPORTED = """
import sys
from pamps.cli import main
try:
    main()
finally:
    names = "dynaconf", "fastapi", "starlette", "sqlalchemy"
    print("imported:", *[name for name in names if name in sys.modules])
"""


def test_it_needs_nothing_but_the_url():
    """No database, no valid settings."""
    command = [sys.executable, "-c", IMPORTED, "check", "127.0.0.1:1"]
    done = run(command, PAMPS_DB__uri="nonsense", LC_ALL="pt_BR.UTF-8")
    assert (done.returncode, done.stderr) == (1, "")
    assert "sem conexão: Connection refused" in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["imported:"]


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "pt_BR.UTF-8"}, "pt-BR"),
        ({"LANG": "pt_BR.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LC_MESSAGES": "pt_PT.UTF-8", "LANG": "C"}, "pt-BR"),
        ({}, "en"),
    ],
)
def test_the_language_of_the_terminal(environment, language, monkeypatch):
    from pamps.check.command import terminal_language

    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.setenv(name, environment.get(name, ""))
    assert terminal_language() == language


def test_each_check_is_made_possible_by_earlier_ones():
    from pamps.check.runner import CHECKS, GIVEN
    from pamps.check.templates import names

    known, ids = set(GIVEN), [check.id for check in CHECKS]
    assert len(set(ids)) == len(ids)
    for check in CHECKS:
        assert check.demanded or check.usual, check.id
        assert names(check) <= known, check.id
        known |= {*check.makes, *check.keep}

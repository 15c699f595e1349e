"""Clients that send slowly, or do not read what they get."""

import contextlib
import json
import socket
import time

from tests.servers import signed_in

HEAD = b"POST /post/ HTTP/1.1\r\nHost: pamps\r\n"


SLOW = {
    "nothing": (b"", None),
    "half a head": (HEAD, "408 Request Timeout"),
    "blank lines": (b"\r\n", None),
    "half a body": (HEAD + b"Content-Length: 10\r\n\r\n{", "408 Request Timeout"),
    "a large header": (HEAD + b"x: " + b"x" * 40_000, "431 Request Header Fields Too Large"),
    "a large head": (
        HEAD + b"x: " + b"x" * 40_000 + b"\r\n\r\n",
        "431 Request Header Fields Too Large",
    ),
}


def test_slow_clients(other_database):
    """They are told, and hung up on; a request that is whole is served all the same."""
    # One place is enough: who has not sent all takes none.
    settings = {"SERVER__receive_timeout": "1", "SERVER__max_requests": "1"}
    with signed_in(other_database, **settings) as client:
        address = client.base_url.host, client.base_url.port
        with contextlib.ExitStack() as stack:
            sockets = {}
            for name, (sent, _) in SLOW.items():
                sockets[name] = stack.enter_context(socket.create_connection(address, timeout=10))
                sockets[name].sendall(sent)
            assert client.get("/post/").status_code == 200
            for name, (_, status) in SLOW.items():
                answer = b"".join(iter(lambda name=name: sockets[name].recv(4096), b""))
                head, _, body = answer.decode().partition("\r\n\r\n")
                if status is None:
                    assert answer == b"", name
                else:
                    assert head.startswith(f"HTTP/1.1 {status}\r\n"), name
                    assert json.loads(body) == {"detail": status[4:]}
        assert client.get("/post/").status_code == 200


def ended(client: socket.socket) -> bool:
    """Whether the server ends a connection, after whatever it has answered."""
    with contextlib.suppress(ConnectionError):
        while client.recv(65536):
            pass
    return True


def test_clients_that_do_not_read(other_database):
    """Neither they nor those who send what nobody waits for keep a place or a connection."""
    get = b"GET /openapi.json HTTP/1.1\r\nHost: pamps\r\n"
    settings = {"SERVER__receive_timeout": "1", "SERVER__max_requests": "1"}
    with signed_in(other_database, **settings) as client, contextlib.ExitStack() as stack:
        address = client.base_url.host, client.base_url.port

        def connect() -> socket.socket:
            return stack.enter_context(socket.create_connection(address, timeout=15))

        many, late, unread = connect(), connect(), connect()
        with contextlib.suppress(OSError):  # it may end before all is sent
            many.sendall((get + b"\r\n") * 1000)
        assert ended(many)
        # The body of a request that has its answer already.
        late.sendall(get.replace(b"/openapi.json", b"/nowhere") + b"Content-Length: 1\r\n\r\n")
        assert late.recv(4096).startswith(b"HTTP/1.1 404")
        late.sendall(b"x")
        assert ended(late)
        deadline = time.monotonic() + 20
        # Until it has taken the one place there is, or was hung up on before.
        with contextlib.suppress(ConnectionError):
            while client.get("/post/").status_code == 200:
                unread.sendall((get + b"\r\n") * 5)
        while client.get("/post/").status_code == 503:
            assert time.monotonic() < deadline

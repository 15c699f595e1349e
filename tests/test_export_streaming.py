"""Exports to clients that read slowly, go away, or see the database fail."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple

import pytest
from sqlalchemy import URL, make_url

from tests.databases import copied_database, disconnect, execute
from tests.helpers import User, create_account, sign_in
from tests.servers import served

EXPORT = "/user/me/export/"
# More than all buffers between the server and a client that does not read. Rows of other tables
# take longer to store.
SESSIONS = 6000
MANY_SESSIONS = f"""
INSERT INTO session (sid, user_id, token_hash, expires, user_agent)
SELECT {SESSIONS} * id + n, id, '', now(), repeat('x', 1000)
FROM "user", generate_series(1, {SESSIONS}) AS n
"""
IN_TRANSACTION = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
"""
IN_TRANSACTION_AND_BUSY = (
    f"{IN_TRANSACTION} AND state_change > clock_timestamp() - interval '0.3 s'"
)


class Reader(AbstractContextManager["Reader"]):
    """A client that has begun to read an export, and reads on when it is told to."""

    def __init__(self, user: User) -> None:
        url = user.base_url
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(20)
        self.socket.connect((url.host, url.port))
        token = user.headers["Authorization"]
        head = f"GET {EXPORT} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n"
        self.socket.sendall(head.encode())
        self.received = bytearray(self.socket.recv(2000))
        assert self.received.startswith(b"HTTP/1.1 200 OK\r\n")

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def read(self) -> None:
        """Read the rest of the connection, up to the last chunk if there is one."""
        while not self.is_complete and (data := self._recv()):
            self.received += data

    def _recv(self) -> bytes:
        try:
            return self.socket.recv(1_000_000)
        except ConnectionResetError:
            return b""

    @property
    def is_complete(self) -> bool:
        return self.received.endswith(b"\r\n0\r\n\r\n")

    @property
    def document(self) -> dict:
        chunks, rest = [], bytes(self.received).partition(b"\r\n\r\n")[2]
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            chunks.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        return json.loads(b"".join(chunks))


class Service(NamedTuple):
    """A server of one process with one connection for all but exports, and users on it."""

    database: URL
    log: list[str]
    ana: User
    bia: User
    caio: User


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    server, template = os.environ["TEST_SERVER"], os.environ["TEST_TEMPLATE"]
    name = os.environ.get("PYTEST_XDIST_WORKER", "main") + "_export"
    log: list[str] = []
    with copied_database(server, template, name) as database, ExitStack() as stack:
        settings = {"PAMPS_DB__uri": database, "PAMPS_DB__pool_size": "1"}
        process, client = stack.enter_context(served(settings, log=log))
        users = []
        for name in ("ana", "bia", "caio"):
            _, token = create_account(client, name)
            headers = {"Authorization": f"Bearer {token}"}
            user = User(base_url=client.base_url, headers=headers, timeout=20)
            users.append(stack.enter_context(user))
        execute(make_url(database), MANY_SESSIONS)
        yield Service(make_url(database), log, *users)
        process.terminate()


def test_slow_readers(service):
    """Each gets the state of the beginning, and keeps nobody else from anything."""
    _, _, ana, bia, caio = service
    with Reader(ana) as one, Reader(bia) as other:
        refused = ana.get(EXPORT)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        sign_in(caio, "ana")
        assert bia.delete("/user/me/").status_code == 204
        for reader in (one, other):
            reader.read()
            assert len(reader.document["sessions"]) == SESSIONS + 1
    with Reader(ana) as reader:
        refused = ana.get(EXPORT)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        assert caio.get(EXPORT).status_code == 200
        reader.read()
        assert len(reader.document["sessions"]) == SESSIONS + 2


def test_a_client_that_goes_away(service):
    with Reader(service.ana):
        pass
    while execute(service.database, IN_TRANSACTION):
        pass
    assert service.ana.head(EXPORT).status_code == 200


def test_a_failure_in_the_middle(service):
    """The client notices, as the response has no end."""
    with Reader(service.ana) as reader:
        disconnect(service.database)
        reader.read()
        assert not reader.is_complete
    assert service.ana.head(EXPORT).status_code == 200
    assert [line for line in service.log if "an export ended early" in line]


def test_a_pause_longer_than_transactions_may_be_idle(service):
    """PostgreSQL does not end the transaction while the client reads nothing."""
    name = service.database.database
    limit = "idle_in_transaction_session_timeout"
    execute(service.database, f"ALTER DATABASE {name} SET {limit} = '100ms'")
    with Reader(service.ana) as reader:
        while execute(service.database, IN_TRANSACTION_AND_BUSY):
            pass
        reader.read()
        assert reader.is_complete

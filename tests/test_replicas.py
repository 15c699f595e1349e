"""Reads from a replica: what was written is always there, and the replica may fail."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import httpx
import pytest

from tests.databases import locked
from tests.helpers import User, create_account, refused_for_now
from tests.postgresql import PostgreSQL, free_port, running, wait_until
from tests.servers import served


class Service(NamedTuple):
    """Two servers of the API, a primary and its replica."""

    primary: PostgreSQL
    replica: PostgreSQL
    clients: list[httpx.Client]
    log: list[str]
    metrics: int
    stack: ExitStack

    def user(self, username: str) -> list[User]:
        """A new user, who is signed in at both servers."""
        _, token = create_account(self.clients[0], username)
        headers = {"Authorization": f"Bearer {token}"}
        return [
            self.stack.enter_context(User(base_url=client.base_url, headers=headers, timeout=20))
            for client in self.clients
        ]

    def reads(self) -> dict[str, float]:
        """How many reads the first server has sent where."""
        lines = httpx.get(f"http://127.0.0.1:{self.metrics}/metrics").text.splitlines()
        found = [re.fullmatch(r'pamps_reads_total{server="(\w+)"} (.+)', line) for line in lines]
        return {match[1]: float(match[2]) for match in found if match}

    def wait_for(self, words: str) -> None:
        """Waits until the first server logs something."""
        assert wait_until(lambda: any(words in line for line in self.log), 30), self.log

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Meanwhile the replica replays nothing."""
        self.replica.execute("SELECT pg_wal_replay_pause()")
        yield
        self.replica.execute("SELECT pg_wal_replay_resume()")

    @contextmanager
    def not_receiving(self) -> Iterator[None]:
        """Meanwhile the replica receives nothing."""
        shown = "SELECT setting FROM pg_settings WHERE name = 'primary_conninfo'"
        ((source,),) = self.replica.execute(shown)
        change = "ALTER SYSTEM SET primary_conninfo = $$%s$$"
        self.replica.execute(change % "", "SELECT pg_reload_conf()")
        receiving = "SELECT pid FROM pg_stat_wal_receiver"
        assert wait_until(lambda: not self.replica.execute(receiving), 30)
        yield
        self.replica.execute(change % source, "SELECT pg_reload_conf()")

    def wait_for_replica(self, user: User) -> None:
        """Waits until the first server sends the reads of a user to the replica."""
        before = self.reads()["replica"]

        def is_used() -> bool:
            assert user.get("/post/").status_code == 200
            return self.reads()["replica"] > before

        assert wait_until(is_used, 30)


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Service]:
    """One for all tests here, each of which leaves it as it was."""
    folder = tmp_path_factory.mktemp("replicas")
    with (
        running(folder / "primary") as primary,
        running(folder / "replica", primary) as replica,
    ):
        primary.execute("ALTER DATABASE pamps SET lock_timeout = '100ms'")
        log, metrics = [], free_port()
        settings = {
            "PAMPS_DB__uri": primary.address,
            "PAMPS_DB__replica_uri": replica.address,
            "PAMPS_DB__connect_timeout": "2",
            "PAMPS_RATE_LIMIT__enabled": "false",
            "PAMPS_SERVER__trusted_proxies": '["127.0.0.1"]',
        }
        with (
            served(settings | {"PAMPS_METRICS__port": str(metrics)}, log=log) as (first, client),
            served(settings) as (second, other),
            ExitStack() as stack,
        ):
            service = Service(primary, replica, [client, other], log, metrics, stack)
            service.wait_for("serves reads")
            yield service
            first.terminate()
            second.terminate()


def assert_sees_own_writes(users: list[User], times: int) -> None:
    """Each write at one server is seen at the other one, by the user and at that address."""
    for n in range(times):
        writer, reader = users[n % 2], users[1 - n % 2]
        post = writer.write(f"hello {n}")
        assert reader.get("/post/").json()[0]["id"] == post["id"]
        anonymous = httpx.get(f"{reader.base_url}/post/{post['id']}/")
        assert anonymous.status_code == 200


def test_a_user_sees_own_writes(service):
    ana = service.user("user0")
    assert_sees_own_writes(ana, 50)
    for user in ana:
        assert user.patch("/user/me/", json={"bio": "new"}).json()["bio"] == "new"
        assert user.get("/user/me/").json()["bio"] == "new"
    reads = service.reads()
    assert reads["replica"] > 0, reads


def test_a_replica_that_does_not_replay(service):
    ana = service.user("user1")
    with service.paused():
        before = service.reads()
        assert_sees_own_writes(ana, 10)
        assert service.reads()["replica"] == before["replica"]
    service.wait_for_replica(ana[0])


def test_a_replica_that_is_killed(service):
    ana = service.user("user2")
    service.replica.kill()
    assert_sees_own_writes(ana, 10)
    service.wait_for("is left out")
    service.replica.start()
    service.wait_for_replica(ana[0])


def test_others_may_see_an_older_state(service):
    """Whoever has not written, and shows nothing that says so."""
    ana = service.user("user3")
    post = ana[0].write()
    service.replica.catch_up(service.primary)
    with service.paused():
        ana[0].patch(f"/post/{post['id']}/", json={"text": "edited"})
        for header in ("", "nonsense", "1-1"):
            headers = {"X-Forwarded-For": "192.0.2.1", "Write-Position": header}
            response = service.clients[0].get(f"/post/{post['id']}/", headers=headers)
            assert response.json()["text"] == "hello"


def test_the_header_of_a_write(service):
    """Whoever sends it back sees what was written, and the future is not waited for."""
    ana = service.user("user4")
    with service.paused():
        post = ana[0].write()
        written = ana[0].patch(f"/post/{post['id']}/", json={"text": "edited"})
        epoch, position = written.headers["Write-Position"].split("-")
        for sent in (position, "f" * 16):
            headers = {"X-Forwarded-For": "192.0.2.1", "Write-Position": f"{epoch}-{sent}"}
            response = service.clients[1].get(f"/post/{post['id']}/", headers=headers)
            assert response.json()["text"] == "edited"
    assert "Write-Position" not in response.headers


def test_a_write_whose_position_cannot_be_recorded(service):
    """It is refused, as a read after it might miss it."""
    ana = service.user("user6")
    ana[0].write()
    with locked(service.primary.address, "SELECT FROM write_position WHERE caller > 0 FOR UPDATE"):
        refused_for_now(ana[0].post("/post/", json={"text": "hello"}))
    assert_sees_own_writes(ana, 2)


def test_reads_without_a_primary(service):
    """They go on, signed in or not; writes are refused until it is back."""
    ana = service.user("user5")
    post = ana[0].write()
    service.replica.catch_up(service.primary)
    service.primary.kill()
    for client in (*ana, *service.clients):
        for path in ("/post/", "/user/user5/", "/tag/"):
            assert client.get(path).status_code == 200
        assert client.get("/health/ready").status_code == 200
    assert post["id"] in ana[0].ids("/post/")
    refused_for_now(ana[0].post("/post/", json={"text": "hello"}))
    service.primary.start()
    assert ana[0].post("/post/", json={"text": "hello"}).status_code == 201
    assert_sees_own_writes(ana, 10)
    service.wait_for_replica(ana[0])


def test_a_replica_that_starts_without_a_primary(service):
    """It may have missed what another process wrote, and there is nobody to ask."""
    ana = service.user("user7")
    service.replica.kill()
    ana[0].write()
    service.primary.kill()
    service.replica.start()
    for client in service.clients:
        refused_for_now(client.get("/post/"))
    service.primary.start()
    assert_sees_own_writes(ana, 10)


def test_reads_without_a_primary_that_has_sent_too_little(service):
    """They do not wait for what no replica will ever have."""
    ana = service.user("user8")
    post = ana[0].write()
    service.replica.catch_up(service.primary)
    with service.not_receiving():
        lost = ana[0].write("lost")
        assert lost["id"] in ana[0].ids("/post/")
        service.primary.kill()
        assert wait_until(lambda: ana[0].get("/post/").status_code == 200, 10)
        ids = ana[0].ids("/post/")
        assert post["id"] in ids
        assert lost["id"] not in ids
        service.primary.start()
    assert_sees_own_writes(ana, 10)
    assert lost["id"] in ana[0].ids("/post/")
    service.wait_for_replica(ana[0])

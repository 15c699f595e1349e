"""How many statements PostgreSQL gets for a request: as few for many rows as for none."""

import contextlib
import os
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.databases import copied_database
from tests.helpers import User, create_account
from tests.routes import READS, Crowd
from tests.servers import Relay, served

# How often each request is made. The fewest statements are what it takes: besides, the server
# deletes expired rows in the background.
TIMES = 3


class Recorder(Relay):
    """A way to a database that counts the statements which pass, of whatever driver."""

    # A simple query, and the execution of one that was prepared (PostgreSQL's protocol, 3.0).
    EXECUTES = frozenset(b"QE")

    def __init__(self, database: str) -> None:
        super().__init__(database)
        self.address = self.address.update_query_dict({"sslmode": "disable"})
        self.count = 0

    def opened(self) -> Callable[[bytes], None]:
        buffer, started = bytearray(), False

        def sent(data: bytes) -> None:
            nonlocal started
            buffer.extend(data)
            while True:
                # The first message of a connection has no type, all others begin with it.
                length = int.from_bytes(buffer[started : 4 + started]) + started
                if len(buffer) < 5 or len(buffer) < length:
                    return
                if started:
                    self.count += buffer[0] in self.EXECUTES
                started = True
                del buffer[:length]

        return sent

    def statements(self, request: Callable[[], httpx.Response], status: int) -> int:
        """How many a request takes."""
        before = self.count
        response = request()
        assert response.status_code == status, response.text
        return self.count - before


@pytest.fixture(scope="module")
def recorder() -> Iterator[tuple[Recorder, httpx.Client]]:
    """A server whose way to its database is recorded, and a client for it."""
    server, template = os.environ["TEST_SERVER"], os.environ["TEST_TEMPLATE"]
    name = os.environ.get("PYTEST_XDIST_WORKER", "main") + "_queries"
    with copied_database(server, template, name) as database:
        recorder = Recorder(database)
        settings = {"PAMPS_DB__uri": recorder.address.render_as_string(hide_password=False)}
        settings["PAMPS_ENV"] = "testing"
        with served(settings) as (process, client):
            yield recorder, client
            process.terminate()


@pytest.fixture
def remote_sign_up(recorder) -> Iterator[Callable[..., User]]:
    """Makes an account there, and a client that is signed in to it."""
    stack = contextlib.ExitStack()

    def sign_up(username: str, **fields: str) -> User:
        _, client = recorder
        id_, token = create_account(client, username, **fields)
        headers = {"Authorization": f"Bearer {token}"}
        user = User(base_url=client.base_url, headers=headers, timeout=20)
        stack.enter_context(user)
        user.id, user.username = id_, username
        return user

    with stack:
        yield sign_up


def test_reads(recorder, remote_sign_up):
    recorder, client = recorder
    crowd = Crowd(client, remote_sign_up, 1)

    def count() -> dict[tuple[str, bool], int]:
        return {
            (route.name, reader is crowd.ana): min(
                recorder.statements(lambda reader=reader, path=path: reader.get(path), 200)
                for _ in range(TIMES)
            )
            for route in READS
            for path in [crowd.path(route)]
            for reader in {crowd.reader(route), crowd.ana}
        }

    with_few = count()
    assert len(with_few) > len(READS)
    crowd.grow(5)
    assert count() == with_few
    for (name, signed_in), cost in with_few.items():
        # The popular tags are kept for a moment.
        assert (name != "GET /tag/") <= cost <= (2 if signed_in else 1), name


def test_writes(recorder, remote_sign_up):
    recorder, _ = recorder
    eve, bob = remote_sign_up("eve"), remote_sign_up("bob")
    others = [remote_sign_up(f"other{n}") for n in range(TIMES)]
    posts = [bob.write()["id"] for _ in range(TIMES)]
    for requests in (
        [("/post/", {"text": "hello"})] * TIMES,
        [("/post/", {"text": "hello", "parent_id": posts[0]})] * TIMES,
        [(f"/post/{post_id}/like/", None) for post_id in posts],
        [(f"/user/follow/{other.id}", None) for other in others],
    ):
        counts = [
            recorder.statements(lambda path=path, body=body: eve.post(path, json=body), 201)
            for path, body in requests
        ]
        # Whose session it is, and the rest; neither needs a BEGIN and a COMMIT.
        assert min(counts) == 2, requests[0]


def test_what_a_viewer_likes_and_blocks_is_looked_up_for_each_post(on_other_database):
    """Whatever PostgreSQL expects: a plan that reads all rows of a viewer first may be kept."""
    from pamps.db import engine
    from pamps.routes.post import HOME_POSTS

    query = HOME_POSTS._query(True, False, 20)
    with engine.connect() as connection:
        for statement in (
            """INSERT INTO "user" (username, email, password)
               SELECT 'u' || n, n || '@pamps.com', '$argon2$' FROM generate_series(1, 50) n""",
            """INSERT INTO post (text, user_id)
               SELECT 'x', id FROM "user", generate_series(1, 400)""",
            """INSERT INTO "like" (user_id, post_id) SELECT u.id, p.id FROM "user" u, post p
               WHERE p.id % 100 = u.id""",
            """INSERT INTO block (from_id, to_id)
               SELECT a.id, b.id FROM "user" a, "user" b WHERE a.id <> b.id""",
            "INSERT INTO mute (from_id, to_id) SELECT from_id, to_id FROM block",
            "ANALYZE",
            "SET LOCAL plan_cache_mode = force_generic_plan",
            "PREPARE home AS " + query._sql.decode(),
        ):
            connection.exec_driver_sql(statement.replace("%", "%%"))
        plan = connection.exec_driver_sql("EXPLAIN EXECUTE home(1, 1000)").scalars().all()
        connection.exec_driver_sql("DEALLOCATE home")
    plan = [line.strip() for line in plan]
    assert any('"like" like_row' in line for line in plan)
    assert "Index Cond: (user_id = $1)" not in plan
    # Only to learn whether there are any, by the first of them.
    for index in ("ix_block_from", "ix_block_to", "ix_mute_from"):
        line = next(n for n, line in enumerate(plan) if f"using {index} on" in line)
        assert plan[line - 1].startswith("->  Limit"), plan[line - 1]
    assert sum(line.startswith("Index Cond: (from_id = $1)") for line in plan) == 2
    assert plan.count("Index Cond: (to_id = $1)") == 1
    assert not any("Seq Scan on block" in line or "Seq Scan on mute" in line for line in plan)

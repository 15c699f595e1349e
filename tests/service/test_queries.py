"""How many statements a request costs: as few for many rows as for none."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from functools import partial

import psycopg2.extensions
import pytest

from tests.databases import disconnect

LISTS = [
    "/user/",
    "/user/ana/",
    "/user/ana/followers/",
    "/user/ana/following/",
    "/user/timeline",
    "/user/me/",
    "/user/me/sessions/",
    "/post/",
    "/post/user/ana/",
    "/post/likes/ana/",
    "/post/{id}/",
    "/post/{id}/replies/",
    "/post/{id}/likes/",
]
NEED_SIGN_IN = ("/user/timeline", "/user/me/", "/user/me/sessions/")


@contextmanager
def statements() -> Iterator[list[str]]:
    """Notes what goes to PostgreSQL, by sessions or without."""
    from sqlalchemy import event

    from pamps.db import engine
    from pamps.statements import _Pool

    seen: list[str] = []

    class Noting(psycopg2.extensions.cursor):
        def execute(self, query: str, *values: object) -> None:
            seen.append(query)
            super().execute(query, *values)

    def note(connection, *_: object) -> None:
        connection.cursor_factory = Noting

    fetch = _Pool.fetch

    def noting_fetch(pool: _Pool, query: str, values: dict[str, object]) -> Awaitable[list[object]]:
        seen.append(query)
        return fetch(pool, query, values)

    event.listen(engine, "checkout", note)
    _Pool.fetch = noting_fetch
    yield seen
    _Pool.fetch = fetch
    event.remove(engine, "checkout", note)


@pytest.mark.parametrize("signed_in", [False, True])
def test_lists(api_client, sign_up, signed_in):
    ana = sign_up("ana")
    post = ana.write()

    def count() -> dict[str, int]:
        counts = {}
        for path in LISTS:
            client = ana if signed_in or path in NEED_SIGN_IN else api_client
            with statements() as seen:
                assert client.get(path.format(id=post["id"])).status_code == 200
            counts[path] = len(seen)
        return counts

    with_few = count()
    for n in range(5):
        other = sign_up(f"user{n}")
        other.follow(ana)
        ana.follow(other)
        other.like(post)
        other.write("reply", post["id"])
        ana.like(other.write())
    assert count() == with_few
    for path, cost in with_few.items():
        assert 1 <= cost <= (2 if signed_in or path in NEED_SIGN_IN else 1), path


def test_writes(sign_up):
    ana, bob = sign_up("ana"), sign_up("bob")
    post = bob.write()
    for path, body in (
        ("/post/", {"text": "hello"}),
        ("/post/", {"text": "hello", "parent_id": post["id"]}),
        (f"/post/{post['id']}/like/", None),
        (f"/user/follow/{bob.id}", None),
    ):
        with statements() as seen:
            assert ana.post(path, json=body).status_code == 201
        # Whose session it is, and the rest; neither needs a BEGIN and a COMMIT.
        assert len(seen) == 2, path


def test_a_lost_connection_is_nobody_s_loss(sign_up):
    """What the server closed while it was idle, as it does when it is started again."""
    from pamps.db import database_url

    ana = sign_up("ana")
    for _ in range(3):
        disconnect(database_url())
        assert ana.post("/post/", json={"text": "hello"}).status_code == 201
        assert ana.patch("/user/me/", json={"bio": "here"}).status_code == 200
        assert ana.get("/post/").status_code == 200


def test_a_statement_that_no_buffer_holds(server):
    """It goes to PostgreSQL in pieces, and so it comes back."""
    from sqlalchemy import Text, bindparam, select

    from pamps.statements import Statement

    echo = Statement(select(bindparam("text", type_=Text).label("text")))
    text = "é" * 2**23
    assert server.portal.call(partial(echo.fetch, text=text)) == [{"text": text}]

"""How many statements a list costs: the same for many rows as for none."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

LISTS = [
    "/user/",
    "/user/ana/followers/",
    "/user/ana/following/",
    "/user/timeline",
    "/post/",
    "/post/user/ana/",
    "/post/likes/ana/",
    "/post/{id}/",
    "/post/{id}/replies/",
    "/post/{id}/likes/",
]


@contextmanager
def statements() -> Iterator[list[str]]:
    from sqlalchemy import event

    from pamps.db import engine

    seen: list[str] = []

    def note(_connection, _cursor, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("signed_in", [False, True])
def test_lists(api_client, sign_up, signed_in):
    ana = sign_up("ana")
    post = ana.write()

    def count() -> dict[str, int]:
        counts = {}
        for path in LISTS:
            client = ana if signed_in or path == "/user/timeline" else api_client
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
    assert max(with_few.values()) <= 3

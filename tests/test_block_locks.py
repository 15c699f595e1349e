"""A block, and what the two people do to each other at the same moment: never both."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.databases import assert_counters_are_true, query
from tests.helpers import Client

if TYPE_CHECKING:
    from pamps.db import Query

WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


class Pair:
    """Two users, and a post of each."""

    def __init__(self, one: Client, other: Client) -> None:
        self.one, self.other = one, other
        self.posts = {one: one.write()["id"], other: other.write()["id"]}

    def acts(self, user: Client) -> list[Callable[[], int]]:
        """What a user may do to the other; each gives the status."""
        other = self.other if user is self.one else self.one
        post_id, post = self.posts[other], user.post
        reply, mention = {"text": "x", "parent_id": post_id}, {"text": f"@{other.username}"}
        return [
            lambda: post(f"/post/{post_id}/like/").status_code,
            lambda: post(f"/post/{post_id}/repost/").status_code,
            lambda: post("/post/", json=reply).status_code,
            lambda: post(f"/user/follow/{other.id}").status_code,
            lambda: post("/post/", json=mention).status_code,
        ]


@contextlib.contextmanager
def under_way(client: Client, *statements: tuple["Query", dict[str, int]]) -> Iterator[None]:
    """Runs statements in a transaction that is committed at the end."""
    from pamps.db import transaction

    assert client.portal
    with client.portal.wrap_async_context_manager(transaction()) as begun:
        for statement, ids in statements:
            client.portal.call(partial(statement.execute, begun, **ids))
        yield


def started(call: Callable[[], int], pool: ThreadPoolExecutor, waiting: int) -> Future[int]:
    """Starts a call, and returns when so many statements are waiting for locks."""
    future = pool.submit(call)
    while query(WAITING) != [(waiting,)]:
        assert not future.done()
    return future


@pytest.mark.parametrize("noun", ["block", "mute"])
@pytest.mark.parametrize("blocker_acts", [True, False])
def test_what_waits_for_a_block_sees_it(sign_up, noun, blocker_acts):
    """Though its statement began before the block was committed."""
    from pamps.routes.block import BLOCK, LOCK_PAIR
    from pamps.routes.mute import MUTE

    pair = Pair(sign_up("ana"), sign_up("bia"))
    ids = {"viewer_id": pair.one.id, "user_id": pair.other.id}
    acts = pair.acts(pair.one if blocker_acts else pair.other)
    with ThreadPoolExecutor(len(acts)) as pool:
        block = BLOCK if noun == "block" else MUTE
        with under_way(pair.one, (LOCK_PAIR, ids), (block, ids)):
            futures = [started(act, pool, n) for n, act in enumerate(acts, 1)]
        statuses = [future.result() for future in futures]
    assert statuses == [*[403 if noun == "block" else 201] * 4, 201]
    told = noun == "mute" and blocker_acts
    assert len(query("SELECT * FROM notification")) == (5 if told else 0)
    assert_counters_are_true()


@pytest.mark.parametrize("noun", ["block", "mute"])
@pytest.mark.parametrize("blocker_acts", [True, False])
def test_a_block_waits_for_what_is_under_way(sign_up, noun, blocker_acts):
    """And then sees it, so that no follow and no notification is left."""
    from pamps.routes.follow import FOLLOW
    from pamps.routes.like import LIKE

    pair = Pair(sign_up("ana"), sign_up("bia"))
    actor, other = (pair.one, pair.other) if blocker_acts else (pair.other, pair.one)
    path = f"/user/{noun}/{pair.other.id}"
    with ThreadPoolExecutor(1) as pool:
        viewer = {"viewer_id": actor.id}
        follow = FOLLOW, viewer | {"user_id": other.id}
        with under_way(actor, follow, (LIKE, viewer | {"post_id": pair.posts[other]})):
            future = started(lambda: pair.one.post(path).status_code, pool, 1)
        assert future.result() == 201
    assert len(query("SELECT * FROM social")) == (noun == "mute")
    told = noun == "mute" and blocker_acts
    assert len(query("SELECT * FROM notification")) == (2 if told else 0)
    assert_counters_are_true()

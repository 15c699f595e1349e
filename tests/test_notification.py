"""Notifications, and the inbox that counts the unread ones."""

import os
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.databases import assert_counters_are_true, execute, here, locked, query
from tests.helpers import at_once

INBOXES = "SELECT user_id, unread_count FROM inbox ORDER BY user_id"
NOTIFICATIONS = "SELECT user_id, kind, from_id, post_id FROM notification ORDER BY id"
# Those that tell of nothing that is there.
UNDONE = """
SELECT user_id, kind, from_id, post_id FROM notification EXCEPT ALL (
    SELECT post.user_id, 'like', "like".user_id, post_id FROM "like" JOIN post ON post.id = post_id
    UNION ALL
    SELECT post.user_id, 'repost', repost.user_id, post_id FROM repost
        JOIN post ON post.id = post_id
    UNION ALL SELECT to_id, 'follow', from_id, NULL FROM social
    UNION ALL
    SELECT post.user_id, 'reply', reply.user_id, reply.id FROM post
        JOIN post reply ON reply.parent_id = post.id
    UNION ALL SELECT unnest(mention_ids), 'mention', user_id, id FROM post
)
"""
# Those between users with a block, or a mute by the recipient.
HIDDEN = """
SELECT user_id, from_id FROM notification INTERSECT (
    SELECT from_id, to_id FROM block
    UNION ALL SELECT to_id, from_id FROM block
    UNION ALL SELECT from_id, to_id FROM mute
)
"""
PATH = "/user/me/notifications/"
PAIRS = "follow", "block", "mute"


def told(user) -> list[tuple]:
    rows = f"SELECT kind, from_id, post_id FROM notification WHERE user_id = {user.id} ORDER BY id"
    return query(rows)


def shown(user, query: str = "") -> list[tuple]:
    return [(item["kind"], item["read"]) for item in user.get(f"{PATH}{query}").json()]


def read(user, up_to: int, **headers: str) -> None:
    response = user.post(f"{PATH}read/", json={"up_to": up_to}, headers=headers)
    assert response.status_code == 204, response.text


def unread_count(user) -> int:
    count = user.get("/user/me/").json()["unread_count"]
    assert user.patch("/user/me/", json={}).json()["unread_count"] == count
    return count


@pytest.mark.parametrize("kind", ["like", "repost"])
def test_a_like_or_repost(sign_up, kind):
    ana, bia = sign_up("ana"), sign_up("bia")
    post = ana.write()
    for user in (bia, bia, ana):
        assert user.post(f"/post/{post['id']}/{kind}/").is_success
    assert query(NOTIFICATIONS) == [(ana.id, kind, bia.id, post["id"])]
    assert query(INBOXES) == [(ana.id, 1)]
    bia.delete(f"/post/{post['id']}/{kind}/")
    bia.delete(f"/post/{post['id']}/{kind}/")
    assert query(NOTIFICATIONS) == []
    assert query(INBOXES) == [(ana.id, 0)]
    bia.post(f"/post/{post['id']}/{kind}/")
    assert query(INBOXES) == [(ana.id, 1)]


def test_follow(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    bia.follow(ana)
    bia.follow(ana)
    assert told(ana) == [("follow", bia.id, None)]
    bia.delete(f"/user/follow/{ana.id}")
    assert told(ana) == []
    assert query(INBOXES) == [(ana.id, 0)]


def test_repost(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    post = ana.write()
    path = f"/post/{post['id']}/repost/"
    bia.like(post)
    bia.post(path)
    bia.post(path)
    assert told(ana) == [("like", bia.id, post["id"]), ("repost", bia.id, post["id"])]
    bia.delete(path)
    assert told(ana) == [("like", bia.id, post["id"])]
    assert query(INBOXES) == [(ana.id, 1)]


def test_reply_and_mentions(sign_up):
    ana, bia, eva = sign_up("ana"), sign_up("bia"), sign_up("eva")
    post = ana.write("@ana, @bia")
    reply = bia.write("@eva @ana @bia", post["id"])
    assert told(ana) == [("reply", bia.id, reply["id"])]
    assert told(bia) == [("mention", ana.id, post["id"])]
    assert told(eva) == [("mention", bia.id, reply["id"])]
    assert query(INBOXES) == [(ana.id, 1), (bia.id, 1), (eva.id, 1)]
    assert bia.delete(f"/post/{reply['id']}/").status_code == 204
    assert (told(ana), told(eva)) == ([], [])
    assert query(INBOXES) == [(ana.id, 0), (bia.id, 1), (eva.id, 0)]


def test_edit(sign_up):
    """Whoever is newly mentioned is told, and who is no longer mentioned is not."""
    ana, bia, eva = sign_up("ana"), sign_up("bia"), sign_up("eva")
    post = ana.write()
    reply = bia.write("@eva", post["id"])
    path = f"/post/{reply['id']}/"
    assert bia.patch(path, json={"text": "@ana @eva, @bia"}).status_code == 200
    assert told(ana) == [("reply", bia.id, reply["id"])]
    assert told(eva) == [("mention", bia.id, reply["id"])]
    bia.patch(path, json={"text": "nobody"})
    assert told(ana) == [("reply", bia.id, reply["id"])]
    assert told(eva) == []
    bia.patch(path, json={"text": "again @eva"})
    assert told(eva) == [("mention", bia.id, reply["id"])]
    assert query(INBOXES) == [(ana.id, 1), (eva.id, 1)]


def test_list(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia", avatar="https://example.com/bia.png")
    post = ana.write()
    bia.follow(ana)
    bia.like(post)
    reply = bia.write("@ana", post["id"])
    ana.like(reply)
    told, liked, followed = ana.get(PATH).json()
    assert told.keys() == {"id", "kind", "date", "read", "user", "post"}
    author = {"id": bia.id, "username": "bia", "avatar": "https://example.com/bia.png"}
    assert [item["user"] for item in (told, liked, followed)] == [author] * 3
    assert (followed["kind"], followed["post"]) == ("follow", None)
    # A post is the one that its own address shows.
    for item, post_id in ((told, reply["id"]), (liked, post["id"])):
        alone = ana.get(f"/post/{post_id}/").json()
        del alone["replies"]
        assert item["post"] == alone
    assert told["post"]["liked"]
    assert not told["read"]
    assert shown(bia) == [("like", False)]


def test_kind_and_unread(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    first, second = ana.write(), ana.write()
    bia.follow(ana)
    bia.like(first)
    bia.repost(first)
    read(ana, max(ana.ids(PATH)))
    bia.write("@ana")
    bia.like(second)
    assert shown(ana) == [
        *(("like", False), ("mention", False)),
        *(("repost", True), ("like", True), ("follow", True)),
    ]
    assert shown(ana, "?kind=like") == [("like", False), ("like", True)]
    assert shown(ana, "?unread=true") == [("like", False), ("mention", False)]
    assert shown(ana, "?kind=like&unread=true&limit=1") == [("like", False)]
    assert shown(ana, "?kind=follow&unread=true") == []
    assert len(shown(ana, "?unread=false")) == 5
    assert ana.get(f"{PATH}?kind=poke").status_code == 422


def test_reading(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    assert unread_count(ana) == 0
    read(ana, 10)
    posts = [ana.write() for _ in range(3)]
    for post in posts:
        bia.like(post)
    newest, middle, oldest = ana.ids(PATH)
    assert unread_count(ana) == 3
    read(ana, middle, **{"Idempotency-Key": "k"})
    assert unread_count(ana) == 1
    assert [kept for _, kept in shown(ana)] == [False, True, True]
    read(ana, middle, **{"Idempotency-Key": "k"})
    for earlier in (oldest, -1):
        read(ana, earlier)
        assert unread_count(ana) == 1
    bia.delete(f"/post/{posts[0]['id']}/like/")
    assert unread_count(ana) == 1
    read(ana, 2**63 - 1)
    assert unread_count(ana) == 0
    bia.repost(posts[0])
    assert newest not in ana.ids(f"{PATH}?unread=true")
    assert shown(ana, "?unread=true") == [("repost", False)]
    assert (unread_count(ana), unread_count(bia)) == (1, 0)


def test_nothing_is_read_that_is_yet_to_come(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    bia.follow(ana)
    bia.delete(f"/user/follow/{ana.id}")
    read(ana, 2**63 - 1)
    bia.follow(ana)
    assert (shown(ana), unread_count(ana)) == ([("follow", False)], 1)


def test_deleted_users_and_posts_are_not_shown(sign_up):
    from pamps.maintenance.deletion import MANY_REFERENCES

    ana, bia, eva = sign_up("ana"), sign_up("bia"), sign_up("eva")
    post, other = ana.write(), ana.write()
    for user in (bia, eva):
        user.follow(ana)
        user.like(post)
        user.write("@ana", other["id"])
    assert bia.delete("/user/me/").status_code == 204
    assert len(shown(ana)) == 3
    # Its rows are deleted in batches.
    execute(here(), f"UPDATE post SET like_count = {MANY_REFERENCES} WHERE id = {post['id']}")
    assert ana.delete(f"/post/{post['id']}/").status_code == 204
    assert shown(ana) == [("reply", False), ("follow", False)]
    assert_counters_are_true()
    assert unread_count(ana) == 2


def test_likes_while_the_post_is_deleted(sign_up):
    """The deletion waits for a like, and takes the notification of it along."""
    ana, bia = sign_up("ana"), sign_up("bia")
    post = ana.write()
    path = f"/post/{post['id']}/"
    author = f'SELECT FROM "user" WHERE id = {ana.id} FOR NO KEY UPDATE'
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with ThreadPoolExecutor(1) as pool, locked(os.environ["PAMPS_DB__uri"], author) as cursor:
        deletion = pool.submit(ana.delete, path)
        while cursor.execute(waiting) or cursor.fetchone() == (0,):
            pass
        bia.like(post)
    assert deletion.result().status_code == 204
    assert_counters_are_true()
    assert unread_count(ana) == 0


def test_at_once(sign_up):
    """Inboxes and notifications after everybody has done and undone everything at once."""
    users = [sign_up(f"user{n}") for n in range(6)]
    posts = [user.write() for user in users]

    def live(user, seed: int) -> None:
        rng = random.Random(seed)
        own = [user.write()["id"]]
        for _ in range(50):
            other = users[rng.randrange(len(users))]
            post = rng.choice(posts)
            names = " ".join(f"@user{rng.randrange(6)}" for _ in range(rng.randrange(4)))
            text = {"text": f"to {names}"}
            method, path, body = rng.choice(
                [
                    *(("POST", f"/post/{post['id']}/{act}/", None) for act in ("like", "repost")),
                    *(("DELETE", f"/post/{post['id']}/{act}/", None) for act in ("like", "repost")),
                    *(("POST", f"/user/{act}/{other.id}", None) for act in PAIRS),
                    *(("DELETE", f"/user/{act}/{other.id}", None) for act in PAIRS),
                    ("POST", "/post/", text | {"parent_id": post["id"]}),
                    ("PATCH", f"/post/{rng.choice(own)}/", text),
                    ("DELETE", f"/post/{own[-1]}/", None),
                    ("POST", f"{PATH}read/", {"up_to": max(user.ids(PATH), default=0)}),
                ]
            )
            response = user.request(method, path, json=body)
            assert response.status_code < 500, (method, path, response.text)
            if path == "/post/" and response.status_code == 201:
                own.append(response.json()["id"])

    at_once(*[lambda user=user, n=n: live(user, n) for n, user in enumerate(users)])
    assert users.pop().delete("/user/me/").status_code == 204
    assert_counters_are_true()
    for user in users:
        unread = [item["id"] for page in user.walk(f"{PATH}?unread=true") for item in page]
        assert len(set(unread)) == len(unread) == unread_count(user)
    assert query(UNDONE) == query(HIDDEN) == []

"""Notifications, and the inbox that counts the unread ones."""

import pytest

from tests.databases import query

INBOXES = "SELECT user_id, unread_count FROM inbox ORDER BY user_id"
NOTIFICATIONS = "SELECT user_id, kind, from_id, post_id FROM notification ORDER BY id"


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


def told(user) -> list[tuple]:
    rows = f"SELECT kind, from_id, post_id FROM notification WHERE user_id = {user.id} ORDER BY id"
    return query(rows)


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

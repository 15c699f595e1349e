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

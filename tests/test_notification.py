"""Notifications, and the inbox that counts the unread ones."""

from tests.databases import query

INBOXES = "SELECT user_id, unread_count FROM inbox ORDER BY user_id"
NOTIFICATIONS = "SELECT user_id, kind, from_id, post_id FROM notification ORDER BY id"


def test_like(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    post = ana.write()
    bia.like(post)
    bia.like(post)
    ana.like(post)
    assert query(NOTIFICATIONS) == [(ana.id, "like", bia.id, post["id"])]
    assert query(INBOXES) == [(ana.id, 1)]
    bia.delete(f"/post/{post['id']}/like/")
    bia.delete(f"/post/{post['id']}/like/")
    assert query(NOTIFICATIONS) == []
    assert query(INBOXES) == [(ana.id, 0)]
    bia.like(post)
    assert query(INBOXES) == [(ana.id, 1)]

"""Rows that have expired go by themselves."""

import time

from fastapi.testclient import TestClient

from tests.databases import execute, here

OLD = """
INSERT INTO idempotency (key, request, status, answer, date)
SELECT n::text::bytea, '', 200, '', now() - interval '1 hour' * n FROM generate_series(23, 1500) n;
INSERT INTO attempt (subject, address, date)
SELECT '', '', now() - interval '1 hour' * n FROM generate_series(1500, 0, -1) n;
"""
COUNTS = "SELECT (SELECT count(*) FROM idempotency), (SELECT count(*) FROM attempt)"


def test_expired_notifications_are_no_longer_unread(sign_up):
    from pamps.app import app

    ana, bia = sign_up("ana"), sign_up("bia")
    for post in [ana.write() for _ in range(5)]:
        bia.like(post)
    ids = ana.ids("/user/me/notifications/")
    assert ana.post("/user/me/notifications/read/", json={"up_to": ids[3]}).status_code == 204
    days = f"CASE WHEN id <= {ids[2]} THEN 91 ELSE 89 END"
    execute(here(), f"UPDATE notification SET date = now() - interval '1 day' * {days}")
    with TestClient(app):
        deadline = time.monotonic() + 10
        while ana.ids("/user/me/notifications/") != ids[:2]:
            assert time.monotonic() < deadline
    assert ana.get("/user/me/").json()["unread_count"] == 2


def test_a_batch_has_its_size_by_any_plan():
    """A smaller or larger one would be taken for the last, and the others would stay."""
    from pamps.db import engine
    from pamps.models.attempt import expired_attempts
    from pamps.models.idempotency import expired_keys

    execute(here(), OLD)
    with engine.begin() as connection:
        for way in ("hashjoin", "mergejoin", "material", "hashagg", "sort"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        for expired in (expired_keys, expired_attempts):
            assert connection.execute(expired(100)).rowcount == 100, expired.__name__


def test_expired_rows_go_without_a_request():
    """Answers and attempts after a day, the longest that they count."""
    from pamps.app import app

    execute(here(), OLD)
    with TestClient(app):
        deadline = time.monotonic() + 10
        while execute(here(), COUNTS) != [(1, 24)]:
            assert time.monotonic() < deadline

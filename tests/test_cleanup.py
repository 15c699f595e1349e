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


def test_expired_rows_go_without_a_request():
    """Answers after a day; attempts after an hour, the longest that they count."""
    from pamps.app import app

    execute(here(), OLD)
    with TestClient(app):
        deadline = time.monotonic() + 10
        while execute(here(), COUNTS) != [(1, 1)]:
            assert time.monotonic() < deadline

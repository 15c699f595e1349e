"""Rows that have expired go by themselves."""

import time

from sqlalchemy import make_url

from tests.databases import execute
from tests.servers import served

OLD = """
INSERT INTO idempotency (key, request, status, answer, date)
SELECT n::text::bytea, '', 200, '', now() - interval '1 hour' * n FROM generate_series(23, 1500) n;
INSERT INTO attempt (subject, address, date)
SELECT '', '', now() - interval '1 hour' * n FROM generate_series(1500, 0, -1) n;
"""
COUNTS = "SELECT (SELECT count(*) FROM idempotency), (SELECT count(*) FROM attempt)"


def test_expired_rows_go_without_a_request(other_database):
    """Answers after a day; attempts after an hour, the longest that they count."""
    url = make_url(other_database)
    execute(url, OLD)
    with served({"PAMPS_DB__uri": other_database}) as (process, _):
        deadline = time.monotonic() + 10
        while execute(url, COUNTS) != [(1, 1)]:
            assert time.monotonic() < deadline
        process.terminate()

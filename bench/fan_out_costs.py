"""What one read and one delivery of a timeline cost PostgreSQL: the inputs of `bench/timelines.py`.

    python -m bench.fan_out_costs [--posts 1000000] [--turns 3]

Beside the data set of `bench/data.py` it makes the table that fan-out on write would have, with the
columns of `entry` and a row for each reader of an entry, and deletes it at the end.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import RawCursor

from bench import servers
from bench.data import READER_500
from bench.measure import cpu_seconds
from pamps.models.columns import LIMIT, VIEWER_ID, AnySelect, Condition, page_of
from pamps.models.post import Post, all_posts
from pamps.models.timeline import ENTRY, ENTRY_ID
from pamps.models.user import user_not_deleted
from pamps.models.visibility import visible_to_viewer
from pamps.pagination import PaginatedQuery
from pamps.routes.follow import TIMELINE

# The newest entries, which are delivered to all who follow their users and not the famous.
SHARE = 0.1
BATCH = 1000
# Users with these ids have the most followers, who are anywhere among all users.
AUTHORS = range(6, 41)
# Up to these ids a user follows one user, and ten: see SOCIAL in `bench/rows.py`.
ONE_FAMOUS, TEN_FAMOUS = AUTHORS[-1], 4000
COLUMNS = "user_id", "id", "post_id", "author_id"
DELIVERED = sa.table("delivered", *[sa.column(name, sa.BigInteger) for name in COLUMNS])
FAMOUS = sa.table("famous", *[sa.column(name, sa.BigInteger) for name in ("from_id", "to_id")])
# The leaves of an index whose keys arrive in no order are about two thirds full.
TABLES = f"""
DROP TABLE IF EXISTS delivered, famous;
CREATE TABLE delivered (user_id bigint, id bigint, post_id bigint, author_id bigint);
CREATE TABLE famous (from_id bigint, to_id bigint, PRIMARY KEY (from_id, to_id));
INSERT INTO delivered SELECT s.from_id, e.id, e.post_id, e.author_id
FROM social s JOIN entry e ON e.user_id = s.to_id
WHERE e.id > (SELECT max(id) * (1 - {SHARE}) FROM entry) AND s.to_id > {TEN_FAMOUS}
ORDER BY e.id;
ALTER TABLE delivered ADD PRIMARY KEY (user_id, id) INCLUDE (post_id, author_id)
    WITH (fillfactor = 67);
INSERT INTO famous SELECT from_id, to_id FROM social
WHERE to_id BETWEEN {AUTHORS[0]} AND {TEN_FAMOUS};
"""
ROWS, SIZE = "count(*) FROM delivered", "pg_total_relation_size('delivered')"
DELIVER = f"""
INSERT INTO delivered SELECT from_id, $2, $2, $1
FROM social WHERE to_id = $1 ORDER BY id LIMIT {BATCH}
"""


def page_of_entries(entries: AnySelect) -> PaginatedQuery:
    """Return the query for a page of those entries that the viewer sees, with their posts."""
    selected = entries.subquery("entries")
    return PaginatedQuery(all_posts().join(selected, selected.c.post_id == Post.id), ENTRY_ID)


def is_seen(entry: sa.FromClause) -> Condition:
    return user_not_deleted(entry.c.author_id) & visible_to_viewer(entry.c.author_id)


def delivered() -> AnySelect:
    """Select the entries on a page of the timeline that fan-out on write keeps."""
    own = sa.select(*DELIVERED.c).where(DELIVERED.c.user_id == VIEWER_ID, is_seen(DELIVERED))
    return page_of(own, DELIVERED.c.id)


def merged(last_famous: int) -> AnySelect:
    """Select the same entries, and those of the famous whom the viewer follows."""
    page = delivered().cte("page")
    # What is older than a full page of the others is not on it.
    oldest = sa.select(sa.func.min(page.c.id)).having(sa.func.count() == LIMIT).scalar_subquery()
    own = sa.select(*ENTRY.c).where(ENTRY.c.user_id == FAMOUS.c.to_id, is_seen(ENTRY))
    own = own.where(ENTRY.c.id > sa.func.coalesce(oldest, sa.literal_column("0", sa.BigInteger)))
    newest = page_of(own, ENTRY.c.id).lateral("newest")
    of_famous = sa.select(*newest.c).select_from(FAMOUS).join(newest, sa.true())
    is_famous = FAMOUS.c.to_id <= sa.literal_column(str(last_famous), sa.BigInteger)
    of_famous = of_famous.where(FAMOUS.c.from_id == VIEWER_ID, is_famous)
    both = sa.union_all(sa.select(*page.c), of_famous).subquery("both")
    return sa.select(*both.c).order_by(both.c.id.desc()).limit(LIMIT)


class Database:
    """A connection, and what its server spends."""

    def __init__(self, address: sa.URL, process: int) -> None:
        self.process = process
        self.connection = psycopg.connect(servers.text(address), autocommit=True)
        self.connection.prepare_threshold = 0
        self.cursor = RawCursor(self.connection)
        self.cursor.execute("SET statement_timeout = 0")

    def one(self, statement: str) -> Any:
        return self.cursor.execute(statement).fetchone()[0]

    def microseconds(self, run: Callable[[], int], seconds: float) -> float:
        """Return the server's CPU time for each of what `run` does, which returns their number."""
        run()
        until, done, before = time.monotonic() + seconds, 0, cpu_seconds(self.process)
        while time.monotonic() < until:
            done += run()
        return (cpu_seconds(self.process) - before) / done * 1e6

    def reader(self, paginated: PaginatedQuery, viewers: list[int]) -> Callable[[], int]:
        """Return what reads a page of each viewer's timeline."""
        query = paginated._query(True, False, 20)
        values = query._constants | {"cursor": 2**63 - 1}

        def run() -> int:
            for viewer in viewers:
                parameters = [(values | {"viewer_id": viewer})[name] for name in query._order]
                self.cursor.execute(query._sql, parameters).fetchall()
            return len(viewers)

        return run

    def find_post(self) -> int:
        """Run the shortest statement that reads a row."""
        self.cursor.execute("SELECT user_id FROM post WHERE id = $1", [1]).fetchall()
        return 1

    def deliver(self, author: int, post: int) -> int:
        return self.cursor.execute(DELIVER, [author, post]).rowcount

    def logged(self, author: int, post: int) -> float:
        """Return the bytes of WAL for each delivery of a post."""
        position = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"
        before = self.one(position)
        rows = self.deliver(author, post)
        return (self.one(position) - before) / rows


def measure(database: Database, viewers: list[int], seconds: float) -> dict[str, float]:
    """Return what one read and one delivery take, in microseconds and bytes."""
    ids = count(database.one("SELECT max(id) FROM delivered") + 1)

    def cold() -> int:
        """Deliver ten posts after a checkpoint, when almost every row is the first on its page."""
        database.cursor.execute("CHECKPOINT")
        return sum(database.deliver(author, next(ids)) for author in random.sample(AUTHORS, 10))

    def warm() -> int:
        return database.deliver(AUTHORS[0], next(ids))

    reads = {
        "read, 50 followed": (TIMELINE, viewers),
        "read, 500 followed": (TIMELINE, [READER_500]),
        "written page": (page_of_entries(delivered()), viewers),
        "written page and one famous": (page_of_entries(merged(ONE_FAMOUS)), viewers),
        "written page and ten famous": (page_of_entries(merged(TEN_FAMOUS)), viewers),
    }
    found = {
        name: database.microseconds(database.reader(*read), seconds) for name, read in reads.items()
    }
    found["statement"] = database.microseconds(database.find_post, seconds)
    found["row"] = database.microseconds(warm, seconds)
    found["row, first on its page"] = database.microseconds(cold, seconds)
    database.cursor.execute("CHECKPOINT")
    found["bytes of WAL, first on its page"] = database.logged(AUTHORS[1], next(ids))
    found["bytes of WAL"] = database.logged(AUTHORS[1], next(ids))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="for each figure in a turn")
    options = parser.parse_args()
    random.seed(1)
    folder = Path(".bench").absolute()
    folder.mkdir(exist_ok=True)
    with servers.postgresql(folder) as (server, process):
        database = Database(servers.data_set(server, options.posts), process)
        database.connection.execute(TABLES, prepare=False)
        database.connection.execute("VACUUM ANALYZE delivered, famous")
        rows, size = (database.one(f"SELECT {of}") for of in (ROWS, SIZE))
        viewers = random.sample(range(1000, options.posts // 10), 500)
        famous = f"SELECT count(*) FILTER (WHERE to_id <= {ONE_FAMOUS}), count(*) FROM famous"
        count_famous = database.connection.execute(f"{famous} WHERE from_id = ANY(%s)", [viewers])
        followed = [number / len(viewers) for number in count_famous.fetchone()]
        turns = [measure(database, viewers, options.seconds) for _ in range(options.turns)]
        database.connection.execute("DROP TABLE delivered, famous")
        database.connection.close()
    for name in turns[0]:
        values = [turn[name] for turn in turns]
        print(f"{name:32} {statistics.median(values):8.1f}", *(f"{value:.1f}" for value in values))
    print(f"{'famous followed':32}", *followed)
    print(f"{'bytes stored of a row':32} {size / rows:8.1f}")


if __name__ == "__main__":
    main()

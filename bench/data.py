"""The data set: made by SQL, at any size, and with the same shape at each.

For every ten posts there is one user, and that user follows fifty: few are followed by many and
write much. Three posts in ten are replies, every thousandth post has thirty of them and thirty
reposts, and every fourth user likes twenty posts. There is one repost for ten posts. The hashtag
`tag_1` is in a tenth of all posts, `tag_2` in a twentieth and so on, and each `only_…` is in one. A
few accounts are made to measure with, and words that are in so many posts: see below.
"""

from contextlib import closing
from datetime import UTC, datetime

import psycopg2

from bench import rows
from pamps.maintenance.fake import PASSWORD_HASH

# Users with the ids 2, 3, … and how many each follows, if there are so many. blocker_500 follows
# the same users as reader_500, and has 100 blocks in either direction.
READERS = {"reader_50": 50, "reader_500": 500, "reader_5000": 5000, "blocker_500": 500}
READER_500, BLOCKER = 3, 5
# How many follow the user with the id 1, if there are so many.
STAR = 100_000
# Users with these ids write and like while it is measured. The first of them has one notification
# for every hundred posts.
WRITERS = range(501, 551)

# What is slow to keep up row by row: it is made again once all rows are there.
CONSTRAINTS = """
SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I CASCADE', conrelid::regclass, conname),
       format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname,
              pg_get_constraintdef(oid))
FROM pg_constraint
WHERE conrelid = ANY(%s::regclass[]) AND contype IN ('f', 'p') ORDER BY contype = 'f'
"""
INDEXES = """
SELECT format('DROP INDEX %%I', indexname), indexdef FROM pg_indexes
WHERE format('%%I', tablename) = ANY(%s) AND indexname NOT LIKE 'pk_%%'
"""
TABLES = ['"user"', "post", "social", '"like"', "bookmark", "repost", "tag", "block", "mute"]
TABLES += ["entry", "inbox", "notification"]
WITHOUT_ID = ["repost", "tag", "entry", "inbox"]


def post_id(number: int) -> int:
    """The id of the n-th post: after each ten posts comes a repost."""
    return number + (number - 1) // 10


def make(address: str, posts: int) -> None:
    """Fills a migrated, empty database."""
    names = " ".join(f"WHEN {id} THEN '{name}'" for id, name in enumerate(READERS, 2))
    values = {
        "posts": posts,
        "users": posts // 10,
        "readers": len(READERS) + 1,
        "copied": READER_500,
        "reader_names": names,
        "first_writer": WRITERS[0],
        "last_writer": WRITERS[-1],
        "first_names": ",".join(rows.FIRST_NAMES.split()),
        "last_names": ",".join(rows.LAST_NAMES.split()),
        "words": ",".join(rows.WORDS.split()),
        "word_count": len(rows.WORDS.split()),
        "password": PASSWORD_HASH,
        "now": datetime.now(UTC),
    }
    values["markers"] = rows.MARKERS.format(**values)
    with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:

        def run(statement: str, **others: object) -> None:
            cursor.execute(statement.format(**values, **others))

        cursor.execute("SET work_mem = '256MB'; SET maintenance_work_mem = '1GB'; SET jit = off")
        cursor.execute("SET statement_timeout = 0; SELECT setseed(0.5)")
        cursor.execute(CONSTRAINTS, [[*TABLES, "session"]])
        undone = cursor.fetchall()
        cursor.execute(INDEXES, [TABLES])
        undone += cursor.fetchall()
        # Rows of a table that was truncated in the same transaction need no log.
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")
        for drop, _ in reversed(undone):
            cursor.execute(drop)
        run(rows.FUNCTIONS)
        run(rows.SOCIAL)
        first_id = posts // 10 * 60
        for reader, count in enumerate(READERS.values(), 2):
            statement = rows.FOLLOWED if reader != BLOCKER else rows.FOLLOWED_BY_BLOCKER
            run(statement, reader=reader, count=count, first_id=first_id)
            first_id += count
        star = "CREATE UNLOGGED TABLE followed_star AS SELECT from_id FROM social WHERE to_id = 1"
        cursor.execute(star)
        run(rows.STARS_FOLLOWERS, star=STAR, first_id=first_id)
        run(rows.OF_POSTS, table='"like"', first=4, step=4, count=20)
        run(rows.OF_POSTS, table="bookmark", first=11, step=10, count=30)
        run(rows.POSTS)
        run(rows.REPOST)
        run(rows.TAGGED)
        run(rows.USER)
        run(rows.POST)
        run(rows.ENTRY)
        run(rows.TAG)
        run(rows.HIDDEN, table="block", first=553)
        run(rows.HIDDEN, table="mute", first=554)
        run(rows.BLOCKS_OF_BLOCKER, reader=BLOCKER)
        run(rows.NOTIFICATION)
        run(rows.INBOX)
        cursor.execute("DROP TABLE written, tagged, followed_star")
        for _, create in undone:
            cursor.execute(create)
        for table in (name for name in TABLES if name not in WITHOUT_ID):
            last = f"SELECT setval(pg_get_serial_sequence(%s, 'id'), max(id)) FROM {table}"
            cursor.execute(last, [table])
        run("SELECT setval('post_id_seq', {posts} * 11 / 10)")
        connection.commit()
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")

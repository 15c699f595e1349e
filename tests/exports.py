"""Compare an export with the tables: `python -m tests.exports FILE USERNAME` for the database of
`PAMPS_DB__uri`. It takes little memory, whatever the size of the file.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from itertools import zip_longest
from pathlib import Path

import psycopg2
from psycopg2.extensions import cursor as Cursor

PAIR = 'x.{}, u.username, x.date FROM {} AS x JOIN "user" AS u ON u.id = x.{} WHERE x.{} = %(id)s'
# Each list of an export as SQL, which has nothing to do with how Pamps makes it.
LISTS = {
    "posts": "id, text, date, parent_id, edited_at, like_count, reply_count, repost_count,"
    " coalesce(mention_ids, '{}'), coalesce(tags, '{}') FROM post WHERE user_id = %(id)s"
    " ORDER BY id",
    "likes": 'post_id, date FROM "like" WHERE user_id = %(id)s ORDER BY id',
    "reposts": "post_id, date FROM repost WHERE user_id = %(id)s ORDER BY post_id",
    "bookmarks": "post_id, date FROM bookmark WHERE user_id = %(id)s ORDER BY id",
    "following": PAIR.format("to_id", "social", "to_id", "from_id") + " ORDER BY x.id",
    "followers": PAIR.format("from_id", "social", "from_id", "to_id") + " ORDER BY x.id",
    "blocks": PAIR.format("to_id", "block", "to_id", "from_id") + " ORDER BY x.id",
    "mutes": PAIR.format("to_id", "mute", "to_id", "from_id") + " ORDER BY x.id",
    "notifications": "n.id, kind, n.date, n.id <= read_id, from_id, username, post_id"
    ' FROM notification AS n JOIN inbox USING (user_id) JOIN "user" AS u ON u.id = from_id'
    " WHERE user_id = %(id)s ORDER BY n.id",
    "sessions": "id, started, last_used, expires, user_agent FROM session WHERE user_id = %(id)s"
    " ORDER BY id",
    "audit": "id, date, action, target, actor_id IS NOT DISTINCT FROM %(id)s,"
    " CASE WHEN actor_id = %(id)s THEN address END"
    " FROM audit WHERE %(id)s IN (actor_id, target_id) ORDER BY id",
}
PROFILE = (
    "id, username, email, email_verified, avatar, bio, superuser, disabled, post_count,"
    ' follower_count, following_count FROM "user" WHERE id = %(id)s'
)


def items(file: Path) -> Iterator[tuple[str, tuple]]:
    """The items of all lists, of which each has a line, and the names of their lists."""
    name, decoder = "", json.JSONDecoder()
    with file.open() as lines:
        for line in lines:
            if line.startswith('"'):
                name = line.split('"')[1]
            elif line.startswith("{") and name:
                item, _ = decoder.raw_decode(line)
                yield name, values(item)


def values(item: dict) -> tuple:
    times = {"date", "edited_at", "started", "last_used", "expires"}
    return tuple(
        datetime.fromisoformat(value) if value and name in times else value
        for name, value in item.items()
    )


def rows(cursor: Cursor, user_id: int) -> Iterator[tuple[str, tuple]]:
    """The rows of the tables, in the order of an export."""
    for name, query in LISTS.items():
        cursor.execute(f"DECLARE rows CURSOR FOR SELECT {query}", {"id": user_id})
        while True:
            cursor.execute("FETCH 2000 FROM rows")
            if not (batch := cursor.fetchall()):
                break
            yield from ((name, row) for row in batch)
        cursor.execute("CLOSE rows")


def compare(file: Path, username: str, dsn: str) -> Counter[str]:
    """Compare a file with the tables; return how many items each list has."""
    counts: Counter[str] = Counter()
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute('SELECT id FROM "user" WHERE username = %s', [username])
        ((user_id,),) = cursor.fetchall()
        cursor.execute(f"SELECT {PROFILE}", {"id": user_id})
        with file.open() as lines:
            first = lines.readline().rstrip().rstrip(",")
        assert values(json.loads(first + "}")["profile"]) == cursor.fetchone()
        for pair in zip_longest(items(file), rows(cursor, user_id)):
            assert pair[0] == pair[1], pair
            counts[pair[0][0]] += 1
    return counts


if __name__ == "__main__":
    print(dict(compare(Path(sys.argv[1]), sys.argv[2], os.environ["PAMPS_DB__uri"])))

"""Made-up users, posts, replies, likes and follows, for `pamps fake-data`.

Few users are followed by many and few posts are liked by many, as in life. The rows go in by COPY.
"""

import csv
import io
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

from faker import Faker
from rich.progress import Progress
from sqlalchemy import text
from sqlmodel import Session

PASSWORD = "pamps"  # noqa: S105
# Its argon2id hash, with a fixed salt so that the same seed gives the same rows to the last byte.
PASSWORD_HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$bWFkZS11cC11c2Vycy0xNg"  # noqa: S105
    "$yDWvhXFUmS4+GIWFR1AQsUGiNkgFuG9VAppZou6Zc0g"
)

FOLLOWS_PER_USER, LIKES_PER_POST = 10, 3
REPLIES = 0.3
# A reply is about one of roughly so many posts before it.
TALKED_ABOUT = 500
END, DAYS = datetime(2026, 1, 1, tzinfo=UTC), 365


class _Maker:
    """Everything random. The same seed gives the same values in the same order."""

    def __init__(self, seed: int | None) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self.fakers = [Faker("pt_BR"), Faker("en_US")]
        for faker in self.fakers:
            faker.seed_instance(self.random.getrandbits(32))

    def people(self, ids: Sequence[int]) -> Iterator[tuple[int, str, str, str]]:
        for id in ids:
            faker = self.random.choice(self.fakers)
            name = unicodedata.normalize("NFKD", f"{faker.first_name()}_{faker.last_name()}")
            # The id makes the name unique.
            name = re.sub("[^a-z_]", "", name.lower())[: 30 - len(str(id))] + str(id)
            yield id, name, f"{name}@example.com", faker.job()

    def posts(self, ids: Sequence[int], users: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        portuguese, english = self.fakers
        sayings = portuguese.catch_phrase, english.sentence
        authors, dates = self.popular(users, len(ids)), self.dates(len(ids))
        for index, id in enumerate(ids):
            parent = None
            if index and self.random.random() < REPLIES:
                parent = ids[max(0, index - 1 - int(self.random.expovariate(1 / TALKED_ABOUT)))]
            yield id, self.random.choice(sayings)(), dates[index], authors[index], parent

    def pairs(self, left: Sequence[int], right: Sequence[int], count: int) -> list[Any]:
        """Up to `count` pairs of somebody and something popular, each with its date."""
        pairs = zip(self.random.choices(left, k=count), self.popular(right, count), strict=True)
        unique = [pair for pair in dict.fromkeys(pairs) if left is not right or pair[0] != pair[1]]
        return [(*pair, date) for pair, date in zip(unique, self.dates(len(unique)), strict=True)]

    def popular(self, items: Sequence[int], count: int) -> list[int]:
        """Some items much more often than others: the n-th as often as 1/n (Zipf's law)."""
        shuffled = self.random.sample(items, len(items))
        weights = list(accumulate(1 / rank for rank in range(1, len(items) + 1)))
        return self.random.choices(shuffled, cum_weights=weights, k=count)

    def dates(self, count: int) -> list[datetime]:
        return sorted(END - timedelta(days=self.random.uniform(0, DAYS)) for _ in range(count))


def load(session: Session, users: int, posts: int, seed: int | None) -> None:
    """Adds that many users and posts. The caller commits."""
    maker = _Maker(seed)
    user_ids, post_ids = _reserve(session, '"user"', users), _reserve(session, "post", posts)
    with Progress() as progress:
        people = list(progress.track(maker.people(user_ids), users, description="Users"))
        written = maker.posts(post_ids, user_ids)
        wrote = list(progress.track(written, posts, description="Posts"))
        follows = maker.pairs(user_ids, user_ids, users * FOLLOWS_PER_USER)
        likes = maker.pairs(user_ids, post_ids, posts * LIKES_PER_POST) if posts else []

        from_ids, to_ids = Counter(row[0] for row in follows), Counter(row[1] for row in follows)
        authors, parents = Counter(row[3] for row in wrote), Counter(row[4] for row in wrote)
        liked = Counter(row[1] for row in likes)
        tables: dict[str, list[Any]] = {
            '"user" (id, username, email, bio, password, post_count, follower_count,'
            " following_count)": [
                (id, *rest, PASSWORD_HASH, authors[id], to_ids[id], from_ids[id])
                for id, *rest in people
            ],
            "post (id, text, date, user_id, parent_id, like_count, reply_count)": [
                (id, *rest, liked[id], parents[id]) for id, *rest in wrote
            ],
            "social (from_id, to_id, date)": follows,
            '"like" (user_id, post_id, date)': likes,
        }
        for table, rows in progress.track(tables.items(), description="Storing"):
            _copy(session, table, rows)


def _reserve(session: Session, table: str, count: int) -> list[int]:
    sequence = "nextval(pg_get_serial_sequence(:table, 'id'))"
    query = text(f"SELECT {sequence} FROM generate_series(1, :count)")  # noqa: S608
    return list(session.scalars(query, {"table": table, "count": count}))


def _copy(session: Session, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    file.seek(0)
    connection: Any = session.connection().connection.driver_connection
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT csv)", file)

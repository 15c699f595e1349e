"""Generate users, posts, replies, likes and follows, for `pamps fake-data`.

Few users have many followers and few posts have many likes, as in real data.
"""

import csv
import io
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from faker import Faker
from rich.progress import Progress
from sqlalchemy import func, select
from sqlmodel import Session

from pamps.db import psycopg2_connection

# The password of all generated users; production refuses it.
PASSWORD = "pamps"  # nosec B105
# Its argon2id hash, with a fixed salt so that the same seed gives exactly the same rows.
PASSWORD_HASH = (  # nosec B105
    "$argon2id$v=19$m=19456,t=2,p=1$bWFkZS11cC11c2Vycy0xNg"
    "$yDWvhXFUmS4+GIWFR1AQsUGiNkgFuG9VAppZou6Zc0g"
)
FOLLOWS_PER_USER, LIKES_PER_POST, REPLIES = 10, 3, 0.3
# The average number of posts between a reply and its parent.
REPLY_DISTANCE = 500
END, DAYS = datetime(2026, 1, 1, tzinfo=UTC), 365


def load(session: Session, users: int, posts: int, seed: int | None) -> None:
    """Add users and posts at random; the same seed gives the same data. The caller commits."""
    rng = random.Random(seed)  # nosec B311
    portuguese, english = fakers = [Faker("pt_BR"), Faker("en_US")]
    for faker in fakers:
        faker.seed_instance(rng.getrandbits(32))
    user_ids, post_ids = _reserve(session, '"user"', users), _reserve(session, "post", posts)
    authors, dates = _popular(rng, user_ids, posts), _dates(rng, posts)
    follows = _pairs(rng, user_ids, user_ids, users * FOLLOWS_PER_USER)
    likes = _pairs(rng, user_ids, post_ids, posts * LIKES_PER_POST)
    followers = Counter(to_id for _, to_id, _ in follows)
    following = Counter(from_id for from_id, _, _ in follows)
    post_counts, like_counts = Counter(authors), Counter(post_id for _, post_id, _ in likes)
    user_rows, post_rows = [], []

    with Progress() as progress:
        for id in progress.track(user_ids, description="Users"):
            faker = rng.choice(fakers)
            name = unicodedata.normalize("NFKD", f"{faker.first_name()}_{faker.last_name()}")
            # The id makes the name unique.
            name = re.sub("[^a-z_]", "", name.lower())[: 30 - len(str(id))] + str(id)
            account = id, name, f"{name}@example.com", faker.job(), PASSWORD_HASH
            user_rows.append((*account, post_counts[id], followers[id], following[id]))
        for index, id in enumerate(progress.track(post_ids, description="Posts")):
            text = rng.choice([portuguese.catch_phrase, english.sentence])()
            parent = None
            if index and rng.random() < REPLIES:
                parent = post_ids[max(0, index - 1 - int(rng.expovariate(1 / REPLY_DISTANCE)))]
            post_rows.append((id, text, dates[index], authors[index], parent, like_counts[id]))
        reply_counts = Counter(parent for *_, parent, _ in post_rows)
        columns = "id, username, email, bio, password, post_count, follower_count, following_count"
        tables: dict[str, Sequence[tuple[object, ...]]] = {
            f'"user" ({columns})': user_rows,
            "post (id, text, date, user_id, parent_id, like_count, reply_count)": [
                (*post, reply_counts[post[0]]) for post in post_rows
            ],
            "social (from_id, to_id, date)": follows,
            '"like" (user_id, post_id, date)': likes,
        }
        for table, rows in progress.track(tables.items(), description="Storing"):
            _copy(session, table, rows)


def _reserve(session: Session, table: str, count: int) -> list[int]:
    next_id = func.nextval(func.pg_get_serial_sequence(table, "id"))
    return list(session.scalars(select(next_id).select_from(func.generate_series(1, count))))


def _popular(rng: random.Random, items: Sequence[int], count: int) -> list[int]:
    """Choose some items much more often than others: the n-th as often as 1/n (Zipf's law)."""
    shuffled = rng.sample(items, len(items))
    weights = list(accumulate(1 / rank for rank in range(1, len(items) + 1)))
    return rng.choices(shuffled, cum_weights=weights, k=count) if items else []


def _pairs(
    rng: random.Random, left: Sequence[int], right: Sequence[int], count: int
) -> list[tuple[int, int, datetime]]:
    """Return up to `count` different pairs of an item and a popular item, each with a date."""
    pairs = zip(rng.choices(left, k=count), _popular(rng, right, count), strict=True)
    unique = [pair for pair in dict.fromkeys(pairs) if left is not right or pair[0] != pair[1]]
    return [(*pair, date) for pair, date in zip(unique, _dates(rng, len(unique)), strict=True)]


def _dates(rng: random.Random, count: int) -> list[datetime]:
    return sorted(END - timedelta(days=rng.uniform(0, DAYS)) for _ in range(count))


def _copy(session: Session, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    file.seek(0)
    cursor = psycopg2_connection(session.connection().connection).cursor()
    cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT csv)", file)

"""Generate users, posts, and what users do, for `pamps fake-data`.

Few users, posts and hashtags are very popular, as in real data. Nobody does anything to a user with
a block between them, and users are notified as by the API.
"""

import csv
import io
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter

from rich.progress import Progress
from sqlalchemy import func, select, text
from sqlmodel import Session

from pamps.db import psycopg2_connection
from pamps.maintenance.fake_posts import Language, Writer, popular

# The password of all generated users; production refuses it.
PASSWORD = "pamps"  # nosec B105
# Its argon2id hash, with a fixed salt so that the same seed gives exactly the same rows.
PASSWORD_HASH = (  # nosec B105
    "$argon2id$v=19$m=19456,t=2,p=1$bWFkZS11cC11c2Vycy0xNg"
    "$yDWvhXFUmS4+GIWFR1AQsUGiNkgFuG9VAppZou6Zc0g"
)
FOLLOWS_PER_USER, BLOCKS_PER_USER, MUTES_PER_USER = 10, 0.5, 0.5
LIKES_PER_POST, REPOSTS_PER_POST, BOOKMARKS_PER_POST = 3, 0.3, 0.2
# Recent, so that notifications are kept and some hashtags are of this week.
END = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
START = END - timedelta(days=365)

# Who did it, to which user or post, and when. A post is known by the index of its draft.
Act = tuple[int, int, datetime]

# What the API would have stored with the posts and acts of the new users.
DERIVED = """
INSERT INTO tag (tag, post_id, user_id, date)
SELECT unnest(tags), id, user_id, date FROM post WHERE user_id BETWEEN :first AND :last;
INSERT INTO entry (user_id, id, post_id, author_id)
SELECT user_id, id, id, user_id FROM post WHERE user_id BETWEEN :first AND :last UNION ALL
SELECT r.user_id, r.id, p.id, p.user_id FROM repost AS r JOIN post AS p ON p.id = r.post_id
WHERE r.user_id BETWEEN :first AND :last;
WITH act (user_id, kind, from_id, post_id, date) AS (
    SELECT to_id, 'follow', from_id, NULL, date FROM social UNION ALL
    SELECT p.user_id, 'like', l.user_id, p.id, l.date
    FROM "like" AS l JOIN post AS p ON p.id = l.post_id UNION ALL
    SELECT p.user_id, 'repost', r.user_id, p.id, r.date
    FROM repost AS r JOIN post AS p ON p.id = r.post_id UNION ALL
    SELECT p.user_id, 'reply', r.user_id, r.id, r.date
    FROM post AS r JOIN post AS p ON p.id = r.parent_id UNION ALL
    SELECT to_id, 'mention', m.user_id, m.id, m.date
    FROM post AS m LEFT JOIN post AS p ON p.id = m.parent_id, unnest(m.mention_ids) AS to_id
    WHERE to_id IS DISTINCT FROM p.user_id
), told AS (
    INSERT INTO notification (user_id, kind, from_id, post_id, date)
    SELECT * FROM act WHERE from_id BETWEEN :first AND :last AND user_id <> from_id
        AND (user_id, from_id) NOT IN (SELECT from_id, to_id FROM mute)
    ORDER BY date, user_id RETURNING user_id, id
)
INSERT INTO inbox (user_id, unread_count, read_id)
SELECT user_id, least(count(*), 5), coalesce((array_agg(id ORDER BY id DESC))[6], 0)
FROM told GROUP BY user_id
"""


def load(
    session: Session, users: int, posts: int, seed: int | None, language: Language | None
) -> None:
    """Add users and posts at random; the same seed gives the same data. The caller commits."""
    rng = random.Random(seed)  # nosec B311
    writer = Writer(rng, language)
    user_ids = _reserve(session, '"user"', users)
    # Whoever is followed by many also writes much and is often mentioned.
    famous, blocked, muted = (rng.sample(user_ids, users) for _ in range(3))
    blocks = _acts(rng, user_ids, blocked, round(users * BLOCKS_PER_USER))
    mutes = _acts(rng, user_ids, muted, round(users * MUTES_PER_USER))
    apart = {pair for one, two, _ in blocks for pair in ((one, two), (two, one))}
    follows = _acts(rng, user_ids, famous, users * FOLLOWS_PER_USER)
    follows = [follow for follow in follows if follow[:2] not in apart]

    with Progress() as progress:
        accounts = [(id, *writer.user(id)) for id in progress.track(user_ids, description="Users")]
        names = {id: name for id, name, _ in accounts}
        dates = sorted(_date(rng, START) for _ in range(posts))
        written = writer.drafts(names, famous, apart, dates)
        drafts = list(progress.track(written, posts, description="Posts"))
        favourites = rng.sample(range(posts), posts)
        likes, reposts, bookmarks = (
            _acts(rng, user_ids, favourites, round(posts * per_post), dates)
            for per_post in (LIKES_PER_POST, REPOSTS_PER_POST, BOOKMARKS_PER_POST)
        )
        likes, reposts = (
            [act for act in acts if (act[0], drafts[act[1]].user_id) not in apart]
            for acts in (likes, reposts)
        )
        # Posts and reposts have ids of one sequence, in the order of their dates.
        dates += [date for *_, date in reposts]
        by_date = sorted(range(len(dates)), key=dates.__getitem__)
        reserved = _reserve(session, "post", len(dates))
        in_turn = [id for _, id in sorted(zip(by_date, reserved, strict=True))]
        ids, repost_ids = in_turn[:posts], in_turn[posts:]

        written_by = Counter(draft.user_id for draft in drafts)
        followers, following = (Counter(follow[n] for follow in follows) for n in (1, 0))
        replies = Counter(draft.parent for draft in drafts)
        liked, reposted = (Counter(post for _, post, _ in acts) for acts in (likes, reposts))
        pair, of_post = "(from_id, to_id, date)", "(user_id, post_id, date)"
        tables: dict[str, Iterable[Sequence[object]]] = {
            '"user" (id, username, email, bio, password, post_count, follower_count,'
            " following_count)": (
                (id, name, f"{name}@example.com", bio, PASSWORD_HASH)
                + (written_by[id], followers[id], following[id])
                for id, name, bio in accounts
            ),
            "post (id, user_id, date, parent_id, mention_ids, tags, text, like_count, reply_count,"
            " repost_count)": (
                (id, draft.user_id, draft.date, None if draft.parent is None else ids[draft.parent])
                + (_array(draft.mention_ids), _array(draft.tags), draft.text)
                + (liked[index], replies[index], reposted[index])
                for index, (id, draft) in enumerate(zip(ids, drafts, strict=True))
            ),
            f"social {pair}": follows,
            f"block {pair}": blocks,
            f"mute {pair}": mutes,
            f'"like" {of_post}': ((user, ids[post], date) for user, post, date in likes),
            f"bookmark {of_post}": ((user, ids[post], date) for user, post, date in bookmarks),
            "repost (id, user_id, post_id, date)": (
                (id, user, ids[post], date)
                for id, (user, post, date) in zip(repost_ids, reposts, strict=True)
            ),
        }
        for table, rows in progress.track(tables.items(), description="Storing"):
            _copy(session, table, rows)
        for statement in DERIVED.split(";"):
            session.execute(text(statement), {"first": user_ids[0], "last": user_ids[-1]})


def _reserve(session: Session, table: str, count: int) -> list[int]:
    next_id = func.nextval(func.pg_get_serial_sequence(table, "id"))
    return list(session.scalars(select(next_id).select_from(func.generate_series(1, count))))


def _acts(
    rng: random.Random,
    users: Sequence[int],
    ranking: Sequence[int],
    count: int,
    dates: Sequence[datetime] | None = None,
) -> list[Act]:
    """Have users do something to popular users, or to posts after their `dates`, once to each."""
    pairs = zip(rng.choices(users, k=count), popular(rng, ranking, count), strict=False)
    acts = [
        (by, to, _date(rng, dates[to] if dates else START))
        for by, to in dict.fromkeys(pairs)
        if dates or by != to
    ]
    return sorted(acts, key=itemgetter(2))


def _date(rng: random.Random, start: datetime) -> datetime:
    return END - rng.random() * (END - start)


def _array(items: Sequence[object]) -> str | None:
    return f"{{{','.join(map(str, items))}}}" if items else None


def _copy(session: Session, table: str, rows: Iterable[Sequence[object]]) -> None:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    file.seek(0)
    cursor = psycopg2_connection(session.connection().connection).cursor()
    cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT csv)", file)

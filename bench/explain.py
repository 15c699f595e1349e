"""How PostgreSQL runs each list, and how many rows it reads for one that it gives."""

from typing import Any

from sqlalchemy.dialects.postgresql.psycopg2 import dialect

from pamps.db import Query
from pamps.pagination import PaginatedQuery
from pamps.routes import follow, like, post, session, user

PARAMETERS = {"viewer_id": None}
HEAD = """# How PostgreSQL runs the lists

Written by `./bench.sh` on {posts:,} posts: `EXPLAIN (ANALYZE, BUFFERS)` of every list, for a page
of 20 and the row that tells whether there are more. A row read is one that a scan found, or passed
over.
"""


def lists(cursor: Any, posts: int) -> dict[str, tuple[PaginatedQuery | Query, dict[str, Any]]]:
    def one(query: str) -> Any:
        cursor.execute(query)
        return cursor.fetchone()[0]

    viewer = one("SELECT id FROM \"user\" WHERE username = 'reader_50'")
    author = one('SELECT username FROM "user" WHERE id < 500 ORDER BY post_count DESC LIMIT 1')
    fan = one('SELECT username FROM "user" WHERE id % 4 = 0 AND id > 550 LIMIT 1')
    answered = one(f"SELECT id FROM post WHERE reply_count >= 25 AND id > {posts} / 2 LIMIT 1")
    liked = one("SELECT id FROM post WHERE id <= 100 ORDER BY like_count DESC LIMIT 1")
    home, old = post.HOME_POSTS, {"cursor": posts // 2}
    readers = {
        f"timeline, following {count:,}": (
            follow.TIMELINE,
            {"viewer_id": one(f"SELECT id FROM \"user\" WHERE username = 'reader_{count}'")},
        )
        for count in (50, 500, 5000)
    }
    named = {"username": author}
    return {
        "home": (home, {}),
        "home, from the middle": (home, old),
        "home, signed in": (home, {"viewer_id": viewer}),
        "post with replies": (post.THREAD, {"post_id": answered}),
        "replies": (post.REPLIES, {"post_id": answered}),
        "a user's posts": (post.USER_POSTS[False, "oldest"], named),
        "a user's posts, newest first": (post.USER_POSTS[False, "newest"], named),
        "a user's posts with replies": (post.USER_POSTS[True, "oldest"], named),
        **readers,
        "posts that a user likes": (like.LIKED_POSTS, {"username": fan}),
        "who likes a post": (like.LIKERS, {"post_id": liked}),
        "followers": (follow.FOLLOWERS, {"username": "user_1"}),
        "following": (follow.FOLLOWING, {"username": author}),
        "users": (user.USERS, {}),
        "profile": (user.PROFILE, named),
        "sessions": (session.SESSIONS, {"user_id": 501, "session_id": 1}),
    }


def rows_read(plan: dict[str, Any]) -> float:
    below = plan.get("Plans", [])
    read = sum(map(rows_read, below))
    if "Scan" in plan["Node Type"] and plan["Node Type"] not in ("Subquery Scan", "CTE Scan"):
        found = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        read += found * plan["Actual Loops"]
    return read


def explain(connection: Any, posts: int) -> str:
    parts = [HEAD.format(posts=posts)]
    with connection.cursor() as cursor:
        for name, (query, values) in lists(cursor, posts).items():
            parameters = PARAMETERS | values
            if isinstance(query, PaginatedQuery):
                parameters = {"cursor": query._start} | parameters
                query = query._query(query.newest_first, False, 20)
            compiled = query.statement.compile(dialect=dialect())
            parameters = compiled.params | parameters
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled}", parameters)
            plan = cursor.fetchone()[0][0]
            cursor.execute(
                f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) {compiled}", parameters
            )
            text = "\n".join(line for (line,) in cursor.fetchall())
            top = plan["Plan"]
            ratio = rows_read(top) / max(1, top["Actual Rows"])
            title = f"## {name}\n\n{ratio:.1f} rows read for each of {top['Actual Rows']:.0f}."
            parts.append(f"{title}\n\n```\n{text}\n```\n")
    return "\n".join(parts)

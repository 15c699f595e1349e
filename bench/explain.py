"""How PostgreSQL runs each list, and how many rows it reads for one that it gives."""

from typing import Any

from bench.data import READERS, WRITERS, post_id
from bench.routes import PAGE_100, SEARCHES
from pamps.db import Query
from pamps.pagination import PaginatedQuery
from pamps.routes import (
    bookmark,
    follow,
    like,
    notification,
    post,
    post_search,
    repost,
    session,
    tag,
    user,
    user_search,
)

HEAD = """# How PostgreSQL runs the lists

Written by `./bench.sh` on {posts:,} posts: `EXPLAIN (ANALYZE, BUFFERS)` of every list as a prepared
statement, for a page of 20 and the row that tells whether there are more. A row read is one that a
scan found, or passed over. The time is that of one execution.
"""

Lists = dict[str, tuple[PaginatedQuery | Query, dict[str, Any]]]


def lists(cursor: Any, posts: int) -> Lists:
    def one(query: str) -> Any:
        cursor.execute(query)
        return cursor.fetchone()[0]

    def most(counter: str) -> Any:
        return one(f"SELECT id FROM post WHERE id > {posts} / 2 ORDER BY {counter} DESC LIMIT 1")

    author = one(
        'SELECT username FROM "user" WHERE id BETWEEN 6 AND 500 ORDER BY post_count DESC LIMIT 1'
    )
    fan = one('SELECT username FROM "user" WHERE id % 4 = 0 AND id > 550 LIMIT 1')
    home, old = post.HOME_POSTS, {"cursor": post_id(posts // 2)}
    readers = {
        name: {"viewer_id": one(f"SELECT id FROM \"user\" WHERE username = '{name}'")}
        for name in READERS
    }
    viewer, blocker = readers["reader_50"], readers["blocker_500"]
    named, replied, told = {"username": author}, {"post_id": most("reply_count")}, WRITERS[0]
    notifications = {
        f"notifications{', one kind' * of_kind}{', unread' * unread}": (
            query,
            {"viewer_id": told} | ({"kind": "mention"} if of_kind else {}),
        )
        for (of_kind, unread), query in notification.NOTIFICATIONS.items()
    }
    searches = {
        f"post search, {matches}": (post_search.FOUND_POSTS, {"q": words})
        for matches, words in SEARCHES.items()
    }
    users_found = user_search.FOUND_USERS[20]
    page_100 = {"q": "apple", "cursor": one(PAGE_100.format(posts=posts))}
    return {
        "home": (home, {}),
        "home, from the middle": (home, old),
        "home, news": (home, {"cursor": post_id(posts) - 30, "newest_first": False}),
        "home, signed in": (home, viewer),
        "home, 100 blocks": (home, blocker),
        "post with replies": (post.THREAD, replied),
        "replies": (post.REPLIES, replied),
        "a user's posts": (post.USER_POSTS[False, "oldest"], named),
        "a user's posts, newest first": (post.USER_POSTS[False, "newest"], named),
        "a user's posts with replies": (post.USER_POSTS[True, "oldest"], named),
        **{f"timeline of {name}": (follow.TIMELINE, reader) for name, reader in readers.items()},
        "timeline of reader_500, from the middle": (follow.TIMELINE, readers["reader_500"] | old),
        "timeline of reader_500, news": (
            follow.TIMELINE,
            readers["reader_500"] | {"cursor": post_id(posts * 99 // 100), "newest_first": False},
        ),
        "posts that a user likes": (like.LIKED_POSTS, {"username": fan}),
        "who likes a post": (like.LIKERS, {"post_id": most("like_count")}),
        "who reposted a post": (repost.REPOSTERS, {"post_id": most("repost_count")}),
        "bookmarks": (bookmark.BOOKMARKED_POSTS, {"viewer_id": 901}),
        "tag page": (tag.TAGGED_POSTS, {"tag": "tag_1"}),
        "tag page, signed in": (tag.TAGGED_POSTS, viewer | {"tag": "tag_1"}),
        "tag page, one post": (tag.TAGGED_POSTS, {"tag": "only_150"}),
        **searches,
        "post search, signed in": (post_search.FOUND_POSTS, viewer | {"q": "apple"}),
        "post search, page 100": (post_search.FOUND_POSTS, page_100),
        "user search": (users_found, {"q": "user_1", "cursor": "", "limit": 20}),
        "user search, misspelt": (users_found, {"q": "reader50", "cursor": "", "limit": 20}),
        "popular tags": (tag.POPULAR_TAGS, {}),
        "followers": (follow.FOLLOWERS, {"username": "user_1"}),
        "following": (follow.FOLLOWING, named),
        "users": (user.USERS, {}),
        "profile": (user.NAMED_PROFILE, named),
        **notifications,
        "sessions": (session.SESSIONS, {"user_id": told, "session_id": 1}),
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
            if isinstance(query, PaginatedQuery):
                values = {"cursor": query._start} | values
                newest_first = values.get("newest_first", query.newest_first)
                query = query._query(newest_first, "viewer_id" not in values, 20)
            values = {"viewer_id": None} | query._constants | values
            parameters = [values[name] for name in query._order]
            cursor.execute(f"PREPARE list AS {query._sql.decode()}")
            call = f"EXECUTE list({', '.join(['%s'] * len(parameters))})".replace("()", "")
            # PostgreSQL decides after five executions if it keeps a plan for all values.
            for _ in range(6):
                cursor.execute(call, parameters)
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {call}", parameters)
            ((plan,),) = cursor.fetchone()
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) {call}", parameters)
            text = "\n".join(line for (line,) in cursor.fetchall())
            cursor.execute("DEALLOCATE list")
            top, milliseconds = plan["Plan"], plan["Execution Time"]
            ratio = rows_read(top) / max(1, top["Actual Rows"])
            title = f"## {name}\n\n{milliseconds:.1f} ms. {ratio:.1f} rows read for each of"
            parts.append(f"{title} {top['Actual Rows']:.0f}.\n\n```\n{text}\n```\n")
    return "\n".join(parts)

"""The routes that are measured, and the requests that each is measured with."""

import json
import random
from dataclasses import dataclass
from urllib.parse import quote_plus

from sqlalchemy import URL

from bench.data import READERS, WRITERS, post_id
from bench.measure import Request
from bench.servers import sign_in
from tests.databases import execute

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
TARGETS = 200
# Rows with what a page has, and a little more, so that all are full pages.
USERS_WITH = """
SELECT username FROM "user" WHERE id > 10 AND {} ORDER BY random() LIMIT 200
"""
# What is searched for, by how many posts have it.
SEARCHES = {
    "a tenth": "apple",
    "10,000": "walnut",
    "100": "cedar",
    "one": "unique",
    "none": "absent",
    "a phrase": '"green apple tree"',
    "two that never meet": "apple river",
    "without": "apple -tree",
}
# The id before page 100 of the posts with a common word.
PAGE_100 = """
SELECT id FROM post WHERE text LIKE '%apple%' ORDER BY id DESC
OFFSET least(99 * 20, {posts} / 20) - 1 LIMIT 1
"""


@dataclass
class Route:
    name: str
    requests: list[Request]
    # Answers are compared with those of the floor, unless each is another one.
    is_read: bool = True
    is_crowded: bool = True
    has_floor: bool = False


def routes(address: URL, url: str, posts: int) -> list[Route]:
    """Tokens come from the server at `url`; the floor takes them too."""

    def column(query: str) -> list[str]:
        return [str(value) for (value,) in execute(address, query)]

    def gets(paths: list[str], token: str = "") -> list[Request]:
        return [Request("GET", path, token) for path in paths]

    last_id = post_id(posts)
    (page_100,) = column(PAGE_100.format(posts=posts))
    page_1000 = column(
        "SELECT id FROM post WHERE parent_id IS NULL ORDER BY id DESC"
        f" OFFSET least({posts} / 2, 20000) LIMIT 1"
    )
    full, reposted = (
        column(
            f"SELECT id FROM post WHERE {counter} >= 25 AND id > {posts} / 10"
            f" ORDER BY random() LIMIT {TARGETS}"
        )
        for counter in ("reply_count", "repost_count")
    )
    writers = column(
        "SELECT user_id FROM post WHERE parent_id IS NULL AND user_id < 500"
        " GROUP BY 1 HAVING count(*) BETWEEN 20 AND 200 LIMIT 200"
    )
    names = column(f'SELECT username FROM "user" WHERE id IN ({",".join(writers)})')
    people = column(USERS_WITH.format("post_count > 0"))
    likers = column(USERS_WITH.format("id % 4 = 0"))
    (collector,) = column('SELECT username FROM "user" WHERE id = 901')
    tokens = [sign_in(url, f"user_{id}") for id in WRITERS]
    readers = {name: sign_in(url, name) for name in READERS}
    rng = random.Random(posts)

    def acts(path: str) -> list[Request]:
        ids = (post_id(rng.randint(1, posts)) for _ in range(40_000))
        return [Request("POST", path.format(id), rng.choice(tokens)) for id in ids]

    def creates(text: str) -> list[Request]:
        texts = (text.format(*rng.sample(people, 3)) for _ in range(TARGETS))
        bodies = (json.dumps({"text": text}) for text in texts)
        return [Request("POST", "/post/", rng.choice(tokens), JSON, body) for body in bodies]

    # Each is undone by the next, so that the data stays as it is.
    blocks = [
        Request(method, f"/user/block/{id}", token)
        for id, token in zip(range(WRITERS[-1] + 1, posts // 10), tokens * 10, strict=False)
        for method in ("POST", "DELETE")
    ]
    # Not all for one account, who would seem to guess a password.
    forms = [f"username=user_{id}&password=pamps" for id in WRITERS]

    def read(name: str, paths: list[str], token: str = "", **others: bool) -> Route:
        return Route(name, gets(paths, token), **others)

    def write(name: str, requests: list[Request], **others: bool) -> Route:
        return Route(name, requests, is_read=False, **others)

    text = "This is written while it is measured, and says nothing else."
    return [
        read("home", ["/post/"], has_floor=True),
        read("home, page 1,000", [f"/post/?cursor={page_1000[0]}"], has_floor=True),
        read("home, news", [f"/post/?newer_than={last_id - 20}"]),
        read("post with replies", [f"/post/{id}/" for id in full], has_floor=True),
        read("profile", [f"/user/{name}/" for name in people], has_floor=True),
        read("a user's posts", [f"/post/user/{name}/" for name in names], has_floor=True),
        *(
            read(
                f"timeline, following {READERS[name]:,}",
                ["/user/timeline"],
                readers[name],
                has_floor=True,
            )
            for name in ("reader_50", "reader_500", "reader_5000")
        ),
        read("timeline of 500, 100 blocks", ["/user/timeline"], readers["blocker_500"]),
        read("home, 100 blocks", ["/post/"], readers["blocker_500"]),
        read("followers of 100,000", ["/user/user_1/followers/"], has_floor=True),
        read("likes of a user", [f"/post/likes/{name}/" for name in likers], has_floor=True),
        read("reposters", [f"/post/{id}/reposts/" for id in reposted]),
        read("bookmarks", ["/user/me/bookmarks/"], sign_in(url, collector)),
        read("tag page", [f"/post/tag/tag_{n}/" for n in range(1, 51)]),
        read("tag page, one post", [f"/post/tag/only_{n * 100 + 50}/" for n in range(50)]),
        read("popular tags", ["/tag/"]),
        *(
            read(f"post search, {matches}", [f"/post/search/?q={quote_plus(words)}"])
            for matches, words in SEARCHES.items()
        ),
        read("post search, page 100", [f"/post/search/?q=apple&cursor={page_100}"]),
        read("user search", [f"/user/search/?q={name[:-1]}" for name in people]),
        read("user search, common", [f"/user/search/?q={name.split('_')[0]}" for name in people]),
        read(
            "user search, misspelt",
            [f"/user/search/?q={name[:2]}{name[3:].rpartition('_')[0]}" for name in people],
        ),
        read("notifications", ["/user/me/notifications/"], tokens[0]),
        read("notifications, one kind", ["/user/me/notifications/?kind=mention"], tokens[0]),
        read("notifications, unread", ["/user/me/notifications/?unread=true"], tokens[0]),
        write("create post", creates(text), has_floor=True),
        write(
            "create post, 3 mentions, 2 tags", creates(f"@{{}} @{{}} @{{}} {text} #tag_1 #tag_2")
        ),
        write("like", acts("/post/{}/like/"), has_floor=True),
        write("repost", acts("/post/{}/repost/")),
        write("bookmark", acts("/post/{}/bookmark/")),
        write("block and unblock", blocks),
        write(
            "sign-in",
            [Request("POST", "/token", "", FORM, form) for form in forms],
            is_crowded=False,
            has_floor=True,
        ),
    ]

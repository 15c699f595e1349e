"""The routes that are measured, and the requests that each is measured with."""

import json
import random
from dataclasses import dataclass

from sqlalchemy import URL

from bench.data import READERS, WRITERS
from bench.measure import Request
from bench.servers import sign_in
from tests.databases import execute

FORM = "application/x-www-form-urlencoded"
TARGETS = 200
# Rows with what a page has, and a little more, so that all are full pages.
USERS_WITH = """
SELECT username FROM "user" WHERE id > 10 AND {} ORDER BY random() LIMIT 200
"""


@dataclass
class Route:
    name: str
    requests: list[Request]
    # Answers are compared with those of the floor, unless each is another one.
    is_read: bool = True
    is_crowded: bool = True


def routes(address: URL, url: str, posts: int) -> list[Route]:
    """Tokens come from the server at `url`; the floor takes them too."""

    def column(query: str) -> list[str]:
        return [str(value) for (value,) in execute(address, query)]

    def gets(paths: list[str], token: str = "") -> list[Request]:
        return [Request("GET", path, token) for path in paths]

    page_1000 = column(
        "SELECT id FROM post WHERE parent_id IS NULL ORDER BY id DESC"
        f" OFFSET least({posts} / 2, 20000) LIMIT 1"
    )
    full = column(
        f"SELECT id FROM post WHERE reply_count >= 25 AND id > {posts} / 10"
        f" ORDER BY random() LIMIT {TARGETS}"
    )
    writers = column(
        "SELECT user_id FROM post WHERE parent_id IS NULL AND user_id < 500"
        " GROUP BY 1 HAVING count(*) BETWEEN 20 AND 200 LIMIT 200"
    )
    names = column(f'SELECT username FROM "user" WHERE id IN ({",".join(writers)})')
    people = column(USERS_WITH.format("post_count > 0"))
    likers = column(USERS_WITH.format("id % 4 = 0"))
    tokens = [sign_in(url, f"user_{id}") for id in WRITERS]
    rng = random.Random(posts)
    text = json.dumps({"text": "This is written while it is measured, and says nothing else."})
    likes = [
        Request("POST", f"/post/{rng.randint(1, posts)}/like/", rng.choice(tokens))
        for _ in range(40_000)
    ]
    # Not all for one account, who would seem to guess a password.
    forms = [f"username=user_{id}&password=pamps" for id in WRITERS]
    return [
        Route("home", gets(["/post/"])),
        Route("home, page 1,000", gets([f"/post/?cursor={page_1000[0]}"])),
        Route("post with replies", gets([f"/post/{id}/" for id in full])),
        Route("profile", gets([f"/user/{name}/" for name in people])),
        Route("a user's posts", gets([f"/post/user/{name}/" for name in names])),
        *(
            Route(
                f"timeline, following {count:,}",
                gets(["/user/timeline"], sign_in(url, f"reader_{count}")),
            )
            for count in READERS
        ),
        Route("followers of 100,000", gets(["/user/user_1/followers/"])),
        Route("likes of a user", gets([f"/post/likes/{name}/" for name in likers])),
        Route(
            "create post",
            [Request("POST", "/post/", token, "application/json", text) for token in tokens],
            is_read=False,
        ),
        Route("like", likes, is_read=False),
        Route(
            "sign-in",
            [Request("POST", "/token", "", FORM, form) for form in forms],
            is_read=False,
            is_crowded=False,
        ),
    ]

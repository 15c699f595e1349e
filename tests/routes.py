"""Every route of the API, a line each: what the tests that go through all routes need to know.

A route that has no line here fails `tests/service/test_access.py`.
"""

from collections.abc import Callable
from typing import NamedTuple

import httpx

from tests import canary
from tests.helpers import User, sign_in
from tests.mailbox import mailed_token

SIGN_IN = {"username": "{username}", "password": "{password}"}
REFRESH = {"refresh_token": "{refresh_token}"}
ACCOUNT = {"username": "{new}", "email": "{new}@pamps.com", "password": "{password}"}
NEW_PASSWORD = {"current_password": "{password}", "new_password": "{new_password}"}
RESET = {"token": "{reset_token}", "new_password": "{new_password}"}
VERIFICATION = {"token": "{verification_token}"}
UP_TO = {"up_to": 1}


class Route(NamedTuple):
    """A route, and the status that each kind of caller gets from it."""

    name: str
    """Method and path, as the documentation has them."""
    anonymous: int
    other: int
    """For a user whom the thing in the path does not belong to."""
    owner: int
    body: dict[str, str | int] | None = None
    """A body that is accepted; `values()` says what its placeholders stand for."""
    also_accepts: tuple[bytes, ...] = ()
    """Bodies without a field that are accepted too."""
    ids: str = ""
    """Of a list: which ids of `Crowd` it has."""
    oldest_first: bool = False
    """Of a list: whether it begins with what is oldest, and so has no `prev`."""
    mutual: bool = False
    """Whether everybody in a `Crowd` has done it to everybody else and their posts."""
    if_match: bool = False
    """Whether `If-Match` guards what it changes."""
    query: str = ""
    """Parameters without which it is refused."""
    keyed: bool = True
    """Of a POST: whether it takes an Idempotency-Key."""
    streamed: bool = False
    """Of a GET: whether its response is sent in parts, and so has no ETag."""
    endless: bool = False
    """Of a GET: whether its response has no end, so that tests ask for its head."""

    @property
    def method(self) -> str:
        return self.name.split()[0]

    @property
    def asked(self) -> str:
        """The method by which tests ask for an answer that ends."""
        return "HEAD" if self.endless else self.method

    @property
    def path(self) -> str:
        return self.name.split()[1]

    @property
    def address(self) -> str:
        """The path and the query."""
        return self.path + self.query

    @property
    def form(self) -> bool:
        return self.path == "/token"

    @property
    def secured(self) -> bool:
        """Whether nobody is served without a token."""
        return self.anonymous == 401


ROUTES = [
    Route("POST /token", 200, 200, 200, SIGN_IN),
    Route("POST /refresh_token", 200, 200, 200, REFRESH, (b"", b"null")),
    # Who has a token of a session may end it.
    Route("POST /logout", 204, 204, 204, REFRESH, (b"", b"null", b"{}"), keyed=False),
    Route("GET /user/", 200, 200, 200, ids="users", oldest_first=True),
    Route("POST /user/", 201, 201, 201, ACCOUNT),
    Route("GET /user/search/", 200, 200, 200, ids="named", oldest_first=True, query="?q=user"),
    Route("GET /user/timeline", 401, 200, 200, ids="posts"),
    Route("GET /user/me/", 401, 200, 200),
    Route("PATCH /user/me/", 401, 200, 200, {"bio": "x"}, (b"{}",), if_match=True),
    Route("DELETE /user/me/", 401, 204, 204, if_match=True),
    Route("PUT /user/me/password/", 401, 204, 204, NEW_PASSWORD),
    Route("POST /password/forgot/", 202, 202, 202, {"email": "{new}@pamps.com"}),
    # Whoever has the mail may use its token.
    Route("POST /password/reset/", 204, 204, 204, RESET),
    Route("POST /user/me/email/verify/", 401, 202, 202),
    Route("POST /email/verify/", 204, 204, 204, VERIFICATION),
    Route("GET /user/me/sessions/", 401, 200, 200, ids="sessions"),
    Route("DELETE /user/me/sessions/{session_id}/", 401, 404, 204),
    Route("POST /user/follow/{user_id}", 401, 201, 400, mutual=True),
    Route("DELETE /user/follow/{user_id}", 401, 204, 204),
    Route("GET /user/me/blocks/", 401, 200, 200, ids="unwanted"),
    Route("POST /user/mute/{user_id}", 401, 201, 400),
    Route("DELETE /user/mute/{user_id}", 401, 204, 204),
    Route("GET /user/me/mutes/", 401, 200, 200, ids="unwanted"),
    Route("GET /user/{username}/", 200, 200, 200),
    Route("DELETE /user/{username}/", 401, 403, 403),
    Route("POST /user/{username}/disable/", 401, 403, 403),
    Route("DELETE /user/{username}/disable/", 401, 403, 403),
    Route("GET /user/{username}/followers/", 200, 200, 200, ids="others"),
    Route("GET /user/{username}/following/", 200, 200, 200, ids="others"),
    Route("GET /post/", 200, 200, 200, ids="home"),
    Route("POST /post/", 401, 201, 201, {"text": "x"}),
    Route("GET /post/user/{username}/", 200, 200, 200, ids="first", oldest_first=True),
    Route("GET /post/likes/{username}/", 200, 200, 200, ids="posts"),
    Route("GET /post/tag/{tag}/", 200, 200, 200, ids="posts"),
    Route("GET /tag/", 200, 200, 200),
    Route("GET /post/search/", 200, 200, 200, ids="posts", query="?q=hello+or+words"),
    Route("GET /post/{post_id}/", 200, 200, 200),
    Route("GET /post/{post_id}/replies/", 200, 200, 200, ids="replies", oldest_first=True),
    Route("PATCH /post/{post_id}/", 401, 403, 200, {"text": "x"}, if_match=True),
    Route("DELETE /post/{post_id}/", 401, 403, 204, if_match=True),
    Route("POST /post/{post_id}/like/", 401, 201, 201, mutual=True),
    Route("DELETE /post/{post_id}/like/", 401, 204, 204),
    Route("POST /post/{post_id}/repost/", 401, 201, 201, mutual=True),
    Route("DELETE /post/{post_id}/repost/", 401, 204, 204),
    Route("GET /post/{post_id}/reposts/", 200, 200, 200, ids="others"),
    Route("POST /post/{post_id}/bookmark/", 401, 201, 201, mutual=True),
    Route("DELETE /post/{post_id}/bookmark/", 401, 204, 204),
    Route("GET /user/me/bookmarks/", 401, 200, 200, ids="posts"),
    Route("GET /post/{post_id}/likes/", 200, 200, 200, ids="others"),
    Route("GET /user/me/export/", 401, 200, 200, streamed=True),
    Route("GET /user/me/notifications/", 401, 200, 200, ids="notifications"),
    Route("POST /user/me/notifications/read/", 401, 204, 204, UP_TO),
    Route("GET /live/", 200, 200, 200, streamed=True, endless=True),
    Route("POST /live/ticket/", 401, 201, 201),
    # Last, because after a block other requests are refused.
    Route("POST /user/block/{user_id}", 401, 201, 400),
    Route("DELETE /user/block/{user_id}", 401, 204, 204),
]
READS = [route for route in ROUTES if route.method == "GET" and not route.streamed]
LISTS = [route for route in READS if route.ids]
# Paths that are there for GET, and not in the documentation.
UNDOCUMENTED = ["/", "/docs", "/openapi.json", "/swagger/{name}", "/health/live", "/health/ready"]


def about(thing: str) -> list[Route]:
    """The routes with that parameter in their path."""
    return [route for route in ROUTES if f"{{{thing}}}" in route.path]


def path_about(route: Route, user: User, post_id: int) -> str:
    """The path of a route that reads, about a user and a post."""
    known = {"username": user.username, "user_id": user.id, "post_id": post_id, "tag": "tag"}
    return route.address.format(**known)


def values(owner: User, post_id: int, caller: str = "", new: str = "new") -> dict[str, object]:
    """What placeholders of paths and bodies stand for, when `caller` asks about the owner."""
    return {
        "username": owner.username,
        "user_id": owner.id,
        "post_id": post_id,
        "tag": "tag",
        "session_id": owner.ids("/user/me/sessions/")[0],
        "refresh_token": sign_in(owner, owner.username)["refresh_token"],
        "password": canary.password(caller or owner.username),
        "new_password": canary.password("someone new"),
        "reset_token": mailed_token("reset_password"),
        "verification_token": mailed_token("verify_email"),
        "new": new,
    }


def content(route: Route, values: dict[str, object]) -> dict[str, dict[str, str | int]]:
    """The body of a request, as an argument of `Client.request`."""
    if route.body is None:
        return {}
    body = {
        name: value.format(**values) if isinstance(value, str) else value
        for name, value in route.body.items()
    }
    return {"data" if route.form else "json": body}


class Crowd:
    """Ana, others who have done everything to each other, and as many whom ana blocks and mutes:
    each list has that many items.
    """

    def __init__(self, client: httpx.Client, sign_up: Callable[..., User], size: int) -> None:
        self.anonymous = client
        self._sign_up = sign_up
        self.ana = sign_up("ana", bio="Às vezes", avatar="https://example.com/a.png")
        self.post_id: int = self.ana.write()["id"]
        self.ana.patch(f"/post/{self.post_id}/", json={"text": "edited"})
        self._others: list[int] = []
        self._unwanted: list[int] = []
        self._posts: list[int] = []
        self._replies: list[int] = []
        self.grow(size)

    def grow(self, number: int) -> None:
        """Add others."""
        for n in range(len(self._others), len(self._others) + number):
            other = self._sign_up(f"user{n}")
            post_id = other.write("hello #tag")["id"]
            for route in ROUTES:
                if route.mutual:
                    path = route.path.format(user_id=self.ana.id, post_id=self.post_id)
                    assert other.post(path).status_code == 201
                    path = route.path.format(user_id=other.id, post_id=post_id)
                    assert self.ana.post(path).status_code == 201
            unwanted = self._sign_up(f"unwanted{n}").id
            for path in (f"/user/block/{unwanted}", f"/user/mute/{unwanted}"):
                assert self.ana.post(path).status_code == 201
            self._others.append(other.id)
            self._unwanted.append(unwanted)
            self._posts.append(post_id)
            self._replies.append(self.ana.write("reply", self.post_id)["id"])
            sign_in(self.anonymous, "ana")

    @property
    def ids(self) -> dict[str, list[int]]:
        """What is in each list, in its order."""
        sessions = self.ana.ids("/user/me/sessions/", limit=100)
        assert len(sessions) == len(self._others) + 1
        return {
            "users": sorted([self.ana.id, *self._others, *self._unwanted]),
            "unwanted": self._unwanted[::-1],
            "others": self._others[::-1],
            "named": [
                id for _, id in sorted((f"user{n}", id) for n, id in enumerate(self._others))
            ],
            "posts": self._posts[::-1],
            "home": [*self._posts[::-1], self.post_id],
            "first": [self.post_id],
            "replies": self._replies,
            "sessions": sorted(sessions, reverse=True),
            "notifications": self.ana.ids("/user/me/notifications/", limit=100),
        }

    def path(self, route: Route) -> str:
        """The path about ana and her post."""
        return path_about(route, self.ana, self.post_id)

    def reader(self, route: Route) -> httpx.Client:
        """Somebody who may read it: anybody, or ana."""
        return self.ana if route.secured else self.anonymous

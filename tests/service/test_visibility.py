"""What everybody sees of a user's posts in all that can be read: block, mute, deletion."""

import pytest

from tests.databases import wait_for_deletions
from tests.helpers import Client
from tests.routes import READS, path_about

WORDS = "words of bia"
# Where a mute hides nothing: what somebody asks for by themselves.
ASKED_FOR = {
    "GET /post/user/{username}/",
    "GET /post/likes/{username}/",
    "GET /user/me/bookmarks/",
    "GET /post/{post_id}/",
}


class Village:
    """Ana, bia and caio, who have done everything to each other, and an anonymous caller."""

    def __init__(self, anonymous: Client, *users: Client) -> None:
        self.ana, self.bia, self.caio = self.users = users
        self.callers = {user.username: user for user in users} | {"": anonymous}
        self.posts: dict[int, Client] = {}
        for user in users:
            user.follow(*{*users} - {user})
            self.write(user)
        for post_id in [*self.posts]:
            for user in users:
                assert user.post(f"/post/{post_id}/like/").status_code == 201
                assert user.post(f"/post/{post_id}/repost/").status_code == 201
                assert user.post(f"/post/{post_id}/bookmark/").status_code == 201
                self.write(user, post_id)

    def write(self, user: Client, parent_id: int | None = None) -> None:
        others = " ".join(f"@{other.username}" for other in self.users if other is not user)
        post = user.write(f"words of {user.username} {others} #tag", parent_id)
        self.posts[post["id"]] = user

    def read(self) -> "Seen":
        """What each caller can read now: bodies by caller, and by route and path."""
        return Seen(
            {
                name: {
                    (route.name, path): caller.get(path).text
                    for route in READS
                    if name or not route.secured
                    for path in {path_about(route, user, id_) for id_, user in self.posts.items()}
                }
                for name, caller in self.callers.items()
            }
        )


class Seen(dict[str, dict[tuple[str, str], str]]):
    def by(self, caller: str, words: str = WORDS) -> set[tuple[str, str]]:
        """The routes and paths that show a text to a caller."""
        return {key for key, body in self[caller].items() if words in body}


@pytest.fixture
def village(api_client, sign_up) -> Village:
    return Village(api_client, *map(sign_up, ("ana", "bia", "caio")))


def routes(seen: set[tuple[str, str]]) -> set[str]:
    return {route for route, _ in seen}


def schemas(api_client: Client, node: object) -> set[str]:
    """The names of all schemas that a part of the OpenAPI document is made of."""
    known = api_client.get("/openapi.json").json()["components"]["schemas"]
    names: set[str] = set()

    def add(node: object) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if key == "$ref" and (name := value.rpartition("/")[2]) not in names:
                names.add(name)
                add(known[name])
            elif isinstance(value, dict | list):
                add(value)

    add(node)
    return names


def test_before_anything_everybody_sees_everything(api_client, village):
    """What is not shown here would not be noticed in the tests that follow."""
    paths = api_client.get("/openapi.json").json()["paths"]
    have_posts = {
        route.name
        for route in READS
        for answer in [paths[route.path]["get"]["responses"]["200"]]
        if "PostAuthor" in schemas(api_client, answer["content"])
    }
    assert {*ASKED_FOR, "GET /post/", "GET /user/timeline"} < have_posts
    seen = village.read()
    assert routes(seen.by("ana")) >= have_posts
    assert routes(seen.by("caio")) >= have_posts
    secured = {route.name for route in READS if route.secured}
    assert routes(seen.by("")) == routes(seen.by("ana")) - secured


def test_a_block(village):
    before = village.read()
    assert village.ana.post(f"/user/block/{village.bia.id}").status_code == 201
    seen = village.read()
    assert seen.by("ana") == set()
    assert seen.by("bia", "words of ana") == set()
    assert seen.by("caio") == before.by("caio")
    assert seen.by("") == before.by("")
    # Their own posts are there for both.
    assert routes(seen.by("bia")) >= ASKED_FOR | {"GET /post/"}
    assert village.ana.delete(f"/user/block/{village.bia.id}").status_code == 204
    seen = village.read()
    # The follows and the notifications are gone for good.
    gone = {"GET /user/timeline", "GET /user/me/notifications/"}
    for name in ("ana", "bia"):
        assert routes(seen.by(name) ^ before.by(name)) <= gone


def test_a_mute(village):
    before = village.read()
    assert village.ana.post(f"/user/mute/{village.bia.id}").status_code == 201
    seen = village.read()
    assert routes(seen.by("ana")) == ASKED_FOR
    for name in ("bia", "caio", ""):
        assert seen.by(name) == before.by(name)
    for post_id, user in village.posts.items():
        thread = village.ana.get(f"/post/{post_id}/").json()
        assert (WORDS in thread["text"]) is (user is village.bia)
        assert WORDS not in str(thread["replies"])


def test_a_deleted_account(village):
    from pamps.db import database_url

    assert village.bia.delete("/user/me/").status_code == 204
    del village.callers["bia"]
    for _ in range(2):
        seen = village.read()
        for name in village.callers:
            assert seen.by(name) == seen.by(name, '"username":"bia"') == set()
        wait_for_deletions(database_url())

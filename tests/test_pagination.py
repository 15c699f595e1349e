"""Lists in pages: the `Link` header, and a walk along it while others write."""

import random
from urllib.parse import urljoin

import pytest

from tests.helpers import assert_told
from tests.routes import LISTS, Crowd

NEWEST_FIRST = [route for route in LISTS if not route.oldest_first]
# It takes `order=newest`.
USER_POSTS = "GET /post/user/{username}/"


def with_query(path: str, query: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{query}"


def test_lists_are_documented(api_client):
    paths = api_client.get("/openapi.json").json()["paths"]

    def taking(name: str) -> set[str]:
        return {
            f"{method.upper()} {path}"
            for path, methods in paths.items()
            for method, operation in methods.items()
            if any(parameter.get("name") == name for parameter in operation["parameters"])
        }

    assert taking("cursor") == {route.name for route in LISTS}
    assert taking("newer_than") == {route.name for route in NEWEST_FIRST} | {USER_POSTS}


def test_pages_of_every_list(api_client, sign_up):
    crowd = Crowd(api_client, sign_up, 22)
    lists = [(crowd.reader(r), crowd.path(r), crowd.ids[r.ids], r.oldest_first) for r in LISTS]
    own, replies = [crowd.post_id, *crowd.ids["replies"]], "/post/user/ana/?include_replies=true"
    lists.append((api_client, replies, own, True))
    lists.append((api_client, f"{replies}&order=newest", own[::-1], False))
    for client, path, ids, oldest_first in lists:
        assert client.ids(path) == ids[:20], path
        for limit in (3, 22, 23):
            start = with_query(path, f"limit={limit}")
            pages = list(client.walk(start))
            assert [item["id"] for page in pages for item in page] == ids, path
            assert {len(page) for page in pages[:-1]} <= {limit}
            if oldest_first:
                assert not client.linked(start, "prev")
                continue
            last = start
            while older := client.linked(last, "next"):
                last = older
            for oldest in (last, f"{start}&newer_than=0"):
                *pages, news = client.walk(oldest, "prev")
                assert [item["id"] for page in pages[::-1] for item in page] == ids, path
                assert {len(page) for page in pages[1:-1]} <= {limit}
                assert news == []


def test_what_is_new_in_every_list(api_client, sign_up):
    """A client polls with one reference, and gets what is new when there is something."""
    crowd = Crowd(api_client, sign_up, 1)
    before = crowd.ids
    polls = []
    for route in NEWEST_FIRST:
        client = crowd.reader(route)
        path = client.linked(crowd.path(route), "prev")
        empty = client.get(path)
        assert (empty.status_code, empty.json()) == (200, []), route.name
        assert list(empty.links) == ["prev"]
        assert urljoin(path, empty.links["prev"]["url"]) == path
        assert client.head(path).headers["link"] == empty.headers["link"]
        known = {"If-None-Match": empty.headers["etag"]}
        assert client.get(path, headers=known).status_code == 304
        polls.append((route, client, path, known))
    crowd.grow(2)
    after = crowd.ids
    for route, client, path, known in polls:
        new = [id_ for id_ in after[route.ids] if id_ not in before[route.ids]]
        response = client.get(path, headers=known)
        assert response.status_code == 200, route.name
        assert new
        assert [item["id"] for item in response.json()] == new
        *_, rest = client.walk(client.linked(path, "next"))
        assert rest[-1]["id"] == before[route.ids][-1]


def test_previous_pages(api_client, api_client_user1):
    posts = [api_client_user1.write()["id"] for _ in range(6)][::-1]
    first = "/post/?limit=2"
    second = api_client.linked(first, "next")
    third = api_client.linked(second, "next")
    assert api_client.ids(third) == posts[4:]
    assert not api_client.linked(third, "next")
    before_third = api_client.linked(third, "prev")
    assert api_client.ids(before_third) == api_client.ids(second) == posts[2:4]
    assert api_client.linked(before_third, "next") == third
    before_second = api_client.linked(before_third, "prev")
    assert api_client.ids(before_second) == api_client.ids(first) == posts[:2]
    assert api_client.linked(before_second, "next") == second
    assert api_client.linked(first, "prev") == api_client.linked(before_second, "prev")
    oldest = api_client.get(f"{first}&newer_than=0")
    assert [post["id"] for post in oldest.json()] == posts[4:]
    assert list(oldest.links) == ["prev"]


def test_an_empty_list_has_a_previous_page(api_client, api_client_user1):
    start = api_client.linked("/post/", "prev")
    assert start == "/post/?newer_than=0"
    assert api_client.get(start).json() == []
    posts = [api_client_user1.write()["id"] for _ in range(3)]
    assert api_client.ids(start) == posts[::-1]
    end = api_client.linked(f"/post/?cursor={posts[0]}", "prev")
    assert api_client.ids(end) == posts[::-1]
    assert api_client.get(f"/post/?newer_than={2**63 - 1}").json() == []


def test_entity_tags_differ_with_the_link(api_client, api_client_user1):
    posts = [api_client_user1.write()["id"] for _ in range(3)]
    paths = ["/post/?limit=2", f"/post/?limit=2&newer_than={posts[0]}", "/post/?newer_than=0"]
    paths += [f"/post/?newer_than={2**63 - n}" for n in (1, 2)] + ["/post/?cursor=1"]
    responses = [api_client.get(path) for path in paths]
    assert responses[0].json() == responses[1].json()
    assert len({response.headers["etag"] for response in responses}) == len(paths) - 1
    assert responses[0].headers["etag"] == responses[1].headers["etag"]  # with the same links


def test_lists_with_the_oldest_first_have_no_previous_pages(api_client, api_client_user1):
    post_id = api_client_user1.write()["id"]
    reply = api_client_user1.write("reply", post_id)["id"]
    for path, ids in (
        ("/user/", [api_client_user1.id]),
        (f"/post/{post_id}/replies/", [reply]),
    ):
        for query in ("", "?newer_than=0", "?newer_than=x"):  # which they do not know
            response = api_client.get(path + query)
            assert [item["id"] for item in response.json()] == ids
            assert not response.links
    path = "/post/user/user1/"
    assert_told(api_client.get(f"{path}?newer_than=0"))
    assert api_client.ids(f"{path}?newer_than=0&order=newest") == [post_id]


@pytest.mark.parametrize("query", ["cursor=5&newer_than=3", "newer_than=0&cursor=1"])
def test_either_cursor_or_newer_than(api_client, query):
    response = api_client.get(f"/post/?{query}")
    assert_told(response)
    (error,) = response.json()["detail"]
    assert error["loc"] == ["query", "newer_than"]
    assert error["msg"] == "Give either cursor or newer_than, not both"


def test_link_header(api_client, api_client_user1):
    posts = [api_client_user1.write()["id"] for _ in range(4)]
    response = api_client.get("/post/?limit=3")
    link = response.headers["link"]
    next_page, previous_page = f"<?limit=3&cursor={posts[1]}>", f"<?limit=3&newer_than={posts[3]}>"
    assert link == f'{next_page}; rel="next", {previous_page}; rel="prev"'
    last = api_client.get("/post/" + response.links["next"]["url"])
    assert [post["id"] for post in last.json()] == posts[:1]
    assert last.headers["link"] == f'<?limit=3&newer_than={posts[0]}>; rel="prev"'


@pytest.mark.parametrize("name", ["request", "child", "query"])
@pytest.mark.parametrize("value", ["1", "//evil.example/", "€", "a\r\nx: y"])
def test_unknown_parameters_do_not_change_where_the_link_leads(api_client_user1, name, value):
    posts = [api_client_user1.write()["id"] for _ in range(2)]
    response = api_client_user1.get("/post/", params={"limit": 1, name: value})
    assert response.status_code == 200
    assert response.headers["link"].startswith("<?")
    following = api_client_user1.get("/post/" + response.links["next"]["url"])
    assert [post["id"] for post in following.json()] == posts[:1]


@pytest.mark.parametrize("limit", ["0", "-1", "101", "x", "", "1.5", "9" * 400])
@pytest.mark.parametrize("path", ["/user/", "/post/"])
def test_bad_limit(api_client, path, limit):
    response = api_client.get(path, params={"limit": limit})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", "limit"]


@pytest.mark.parametrize(
    "cursor", ["x", "", "1.5", "0", "-3", str(2**63), "9" * 400, "\0", "1;drop"]
)
def test_bad_cursor(api_client, cursor):
    response = api_client.get("/post/", params={"cursor": cursor})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", "cursor"]


@pytest.mark.parametrize(
    "newer_than", ["x", "", "1.5", "-1", str(2**63), "9" * 400, "\0", "1;drop"]
)
def test_bad_newer_than(api_client, newer_than):
    response = api_client.get("/post/", params={"newer_than": newer_than})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", "newer_than"]


@pytest.mark.parametrize("relation", ["next", "prev"])
@pytest.mark.parametrize("seed", range(6))
def test_a_walk_shows_each_old_row_once_whatever_is_written(sign_up, seed, relation):
    """A walk through each list that is written to, with random writes between any two pages."""
    rng = random.Random(seed)
    ana, bia = sign_up("ana"), sign_up("bia")
    ana.follow(bia)
    root = ana.write("root")
    posts = [bia.write()["id"] for _ in range(12)]
    replies = [bia.write("reply", root["id"])["id"] for _ in range(12)]
    for post in posts:
        bia.like({"id": post})
    walks = {
        "/post/": {root["id"], *posts},
        "/user/timeline": {*posts, *replies},
        f"/post/{root['id']}/replies/": set(replies),
        "/post/likes/bia/": set(posts),
        "/post/user/bia/": set(posts),
        "/post/user/bia/?order=newest": set(posts),
    }
    oldest_first = {f"/post/{root['id']}/replies/", "/post/user/bia/"}
    path = rng.choice([path for path in walks if relation == "next" or path not in oldest_first])
    old, seen, doomed = walks[path], [], set()

    def write_something() -> None:
        match rng.randrange(5):
            case 0:
                bia.like(bia.write())
            case 1:
                bia.write("reply", root["id"])
            case 2:
                post = rng.choice([*posts, *replies])
                doomed.add(post)
                bia.delete(f"/post/{post}/")
            case 3:
                post = rng.choice(posts)
                if post not in doomed:
                    bia.patch(f"/post/{post}/", json={"text": "edited"})
            case 4:
                ana.like(root)

    start = with_query(path, f"limit={rng.randint(1, 4)}")
    if relation == "prev":
        start += "&newer_than=0"
    for number, page in enumerate(ana.walk(start, relation)):
        seen += [item["id"] for item in page]
        for _ in range(rng.randrange(4) if page and number < 12 else 0):
            write_something()
    assert len(seen) == len(set(seen))
    assert old - doomed <= set(seen)
    if relation == "prev":  # It ends where nothing is newer.
        assert set(ana.ids(path, limit=100)) <= set(seen)

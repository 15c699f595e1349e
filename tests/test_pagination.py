"""Lists in pages: the `Link` header, and a walk along it while others write."""

import random

import pytest

from tests.routes import LISTS, Crowd


def test_pages_of_every_list(api_client, sign_up):
    documented = {
        f"{method.upper()} {path}"
        for path, methods in api_client.get("/openapi.json").json()["paths"].items()
        for method, operation in methods.items()
        if any(parameter.get("name") == "cursor" for parameter in operation["parameters"])
    }
    assert documented == {route.name for route in LISTS}
    crowd = Crowd(api_client, sign_up, 22)
    lists = [(crowd.reader(r), crowd.path(r), crowd.ids[r.ids]) for r in LISTS]
    own, replies = [crowd.post_id, *crowd.ids["replies"]], "/post/user/ana/?include_replies=true"
    lists += [(api_client, replies, own), (api_client, f"{replies}&order=newest", own[::-1])]
    for client, path, ids in lists:
        assert client.ids(path) == ids[:20], path
        for limit in (3, 22, 23):
            mark = "&" if "?" in path else "?"
            pages = list(client.walk(f"{path}{mark}limit={limit}"))
            assert [item["id"] for page in pages for item in page] == ids, path
            assert {len(page) for page in pages[:-1]} <= {limit}


def test_link_header(api_client, api_client_user1):
    posts = [api_client_user1.write()["id"] for _ in range(4)]
    response = api_client.get("/post/?limit=3")
    link = response.headers["link"]
    assert link.startswith("<?limit=3&")
    assert link.endswith('>; rel="next"')
    last = api_client.get("/post/" + response.links["next"]["url"])
    assert [post["id"] for post in last.json()] == posts[:1]
    assert "link" not in last.headers


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


@pytest.mark.parametrize("seed", range(6))
def test_a_walk_shows_each_old_row_once_whatever_is_written(sign_up, seed):
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
    path = rng.choice(list(walks))
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

    mark = "&" if "?" in path else "?"
    for page in ana.walk(f"{path}{mark}limit={rng.randint(1, 4)}"):
        seen += [item["id"] for item in page]
        for _ in range(rng.randrange(4)):
            write_something()
    assert len(seen) == len(set(seen))
    assert old - doomed <= set(seen)

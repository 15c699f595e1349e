"""The timeline: posts and reposts of those whom a user follows, in one order."""

import random

import pytest

from tests.databases import execute, here, locked, query, wait_for_deletions
from tests.helpers import Client, at_once

Entry = tuple[int, str | None]


def entries(client: Client, path: str = "/user/timeline", relation: str = "next") -> list[Entry]:
    """The post of each entry, and who has reposted it, along the links of the pages."""
    pages = list(client.walk(path, relation))
    if relation == "prev":
        pages.reverse()
    return [entry_of(item) for page in pages for item in page]


def entry_of(item: dict) -> Entry:
    return item["id"], item["reposted_by"] and item["reposted_by"]["username"]


@pytest.fixture
def ana(sign_up) -> Client:
    return sign_up("ana")


@pytest.fixture
def bia(sign_up, ana) -> Client:
    bia = sign_up("bia", avatar="https://a.b/c")
    ana.follow(bia)
    return bia


@pytest.fixture
def caio(sign_up, ana) -> Client:
    caio = sign_up("caio")
    ana.follow(caio)
    return caio


@pytest.fixture
def davi(sign_up) -> Client:
    """Somebody whom nobody follows."""
    return sign_up("davi")


def test_posts_and_reposts_in_one_order(ana, bia, caio, davi):
    old, other = davi.write("old"), davi.write("other")
    first = bia.write("first")
    bia.repost(old)
    second = caio.write("second", old["id"])
    caio.repost(old)
    caio.repost(first)
    assert entries(ana) == [
        (first["id"], "caio"),
        (old["id"], "caio"),
        (second["id"], None),
        (old["id"], "bia"),
        (first["id"], None),
    ]
    assert other["id"] not in ana.ids("/user/timeline")
    entry = ana.get("/user/timeline").json()[3]
    assert entry["reposted_by"] == {
        "id": bia.id,
        "username": "bia",
        "avatar": "https://a.b/c",
    }
    assert (entry["user"]["username"], entry["repost_count"]) == ("davi", 2)
    assert (entry["reposted"], entry["text"]) == (False, "old")


def test_ones_own_posts_are_not_in_it_and_ones_own_reposts_neither(ana, bia, davi):
    own, other = ana.write(), davi.write()
    bia.repost(own)
    ana.repost(other)
    ana.repost(own)
    post = bia.write()
    ana.repost(post)
    bia.repost(post)
    assert entries(ana) == [(post["id"], "bia"), (post["id"], None)]


def test_a_repost_that_is_undone_and_made_again_is_a_new_entry(ana, bia, davi):
    first, second = davi.write(), davi.write()
    for post in (first, second):
        bia.repost(post)
    path = f"/post/{first['id']}/repost/"
    for _ in range(2):
        assert bia.delete(path).status_code == 204
    assert entries(ana) == [(second["id"], "bia")]
    bia.repost(first)
    bia.repost(first)
    assert entries(ana) == [(first["id"], "bia"), (second["id"], "bia")]


def test_unfollowed(ana, bia, caio, davi):
    post = davi.write()
    bia.repost(post)
    caio.repost(bia.write())
    assert ana.delete(f"/user/follow/{bia.id}").status_code == 204
    assert [name for _, name in entries(ana)] == ["caio"]


@pytest.mark.parametrize("limit", [1, 2, 3, 20])
@pytest.mark.parametrize("relation", ["next", "prev"])
def test_pages(ana, bia, caio, davi, limit, relation):
    for _ in range(3):
        post = davi.write()
        bia.repost(post)
        caio.repost(bia.write())
        caio.repost(post)
    everything = entries(ana)
    assert len(everything) == len(set(everything)) == 12
    start = f"/user/timeline?limit={limit}" + ("&newer_than=0" if relation == "prev" else "")
    assert entries(ana, start, relation) == everything


def test_what_is_hidden_takes_no_place_on_a_page(ana, bia, caio, davi, sign_up):
    """Deleted authors and reposters, blocked and muted ones: of each more than a page has."""
    gone, blocked, muted = [sign_up(name) for name in ("gone", "blocked", "muted")]
    for user in (gone, muted):
        ana.follow(user)
    kept = davi.write()
    bia.repost(kept)
    post = caio.write()
    for user in (gone, blocked, muted):
        for _ in range(3):
            caio.repost(user.write())
        user.repost(kept)
        user.repost(davi.write())
    assert ana.post(f"/user/block/{blocked.id}").status_code == 201
    assert ana.post(f"/user/mute/{muted.id}").status_code == 201
    assert gone.delete("/user/me/").status_code == 204
    for path in ("/user/timeline", "/user/timeline?limit=1", "/user/timeline?limit=2"):
        assert entries(ana, path) == [(post["id"], None), (kept["id"], "bia")], path
    wait_for_deletions(here())
    newest_last = entries(ana, "/user/timeline?limit=1&newer_than=0", "prev")
    assert newest_last == [(post["id"], None), (kept["id"], "bia")]


def test_a_post_whose_rows_are_still_being_deleted_takes_no_place(ana, bia, davi):
    from pamps.maintenance.deletion import MANY_REFERENCES

    kept = [davi.write() for _ in range(2)]
    famous = [user.write() for user in (davi, bia) for _ in range(4)]
    for post in (*kept, *famous):
        bia.repost(post)
    ids = ", ".join(str(post["id"]) for post in famous)
    execute(here(), f"UPDATE post SET like_count = {MANY_REFERENCES} WHERE id IN ({ids})")
    with locked(here(), "SELECT * FROM entry WHERE id <> post_id FOR UPDATE"):
        for post in famous:
            client = davi if post["user_id"] == davi.id else bia
            assert client.delete(f"/post/{post['id']}/").status_code == 204
        for limit in (1, 2, 3):
            left = [(post["id"], "bia") for post in reversed(kept)]
            assert entries(ana, f"/user/timeline?limit={limit}") == left


def test_nothing_is_left_of_entries(ana, bia, caio, davi):
    post, other = davi.write(), bia.write()
    for user in (bia, caio):
        user.repost(post)
        user.repost(other)
    assert davi.delete(f"/post/{post['id']}/").status_code == 204
    assert entries(ana) == [(other["id"], "caio"), (other["id"], "bia"), (other["id"], None)]
    assert bia.delete("/user/me/").status_code == 204
    assert entries(ana) == []
    wait_for_deletions(here())
    assert query("SELECT * FROM entry") == []


def test_entries_are_true_after_everything_at_once(ana, bia, davi):
    posts = [davi.write() for _ in range(2)]
    paths = [f"/post/{post['id']}/repost/" for post in posts]
    calls = [lambda path=path: bia.post(path) for path in paths * 12]
    calls += [lambda path=path: bia.delete(path) for path in paths * 12]
    answers = at_once(*calls, *[bia.write] * 4)
    assert {answer.status_code for answer in answers[:48]} == {200, 201, 204}
    assert query("SELECT * FROM entry ORDER BY id") == query(
        """SELECT user_id, id, id, user_id FROM post
        UNION ALL SELECT r.user_id, r.id, post.id, post.user_id FROM repost r
        JOIN post ON post.id = post_id ORDER BY 2"""
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_walk_shows_each_entry_once_whatever_is_written(ana, bia, caio, davi, seed):
    rng = random.Random(seed)
    posts = [davi.write() for _ in range(6)]
    for post in posts:
        bia.repost(post)
        caio.repost(bia.write())
    old, seen, undone = entries(ana), [], set()

    def write_something() -> None:
        match rng.randrange(4):
            case 0:
                caio.repost(bia.write())
            case 1:
                caio.repost(rng.choice(posts))
            case 2:
                post = rng.choice(posts)
                undone.add((post["id"], "bia"))
                assert bia.delete(f"/post/{post['id']}/repost/").status_code == 204
            case 3:
                bia.write("reply", rng.choice(posts)["id"])

    for page in ana.walk(f"/user/timeline?limit={rng.randint(1, 4)}"):
        seen += [entry_of(item) for item in page]
        for _ in range(rng.randrange(4)):
            write_something()
    assert len(seen) == len(set(seen))
    assert set(old) - undone <= set(seen) <= set(old)

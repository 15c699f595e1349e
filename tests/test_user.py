"""Accounts, profiles, follows and the timeline."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import canary
from tests.databases import wait_for_deletions
from tests.helpers import Client, at_once, command, sign_in, superuser
from tests.routes import about

PUBLIC = {"id", "username", "avatar", "bio"}
COUNTS = {"post_count", "follower_count", "following_count"}
RELATIONS = ["followed", "follows_you", "blocked", "muted"]
ROCHACBRUNO = {
    "email": "rochacbruno@gmail.com",
    "username": "rochacbruno",
    "password": "lalala",
    "avatar": "https://github.com/rochacbruno.png",
    "bio": "Programador",
}


def test_create_user(api_client):
    response = api_client.post("/user/", json=ROCHACBRUNO)
    assert response.status_code == 201
    assert response.json() == {
        "id": response.json()["id"],
        "username": "rochacbruno",
        "avatar": "https://github.com/rochacbruno.png",
        "bio": "Programador",
    }


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"email": "other@gmail.com"}, "Username already taken"),
        ({"email": "other@gmail.com", "username": "ROCHACBRUNO"}, "Username already taken"),
        ({"username": "other"}, "Email already taken"),
        ({"username": "other", "email": "RochaCBruno@Gmail.com"}, "Email already taken"),
    ],
)
def test_create_user_that_is_there(api_client, change, detail):
    api_client.post("/user/", json=ROCHACBRUNO)
    response = api_client.post("/user/", json=ROCHACBRUNO | change)
    assert response.status_code == 409
    assert response.json() == {"detail": detail}
    assert len(api_client.get("/user/").json()) == 1


def test_words_of_paths_are_no_names(api_client):
    words = {
        word
        for path in api_client.get("/openapi.json").json()["paths"]
        for word in path.split("/")
        if word and not word.startswith("{")
    }
    assert {"me", "timeline", "follow", "likes", "user"} <= words
    for word in words | {"search", "docs", "redoc", "Me", "TIMELINE", "notifications"}:
        response = api_client.post("/user/", json=ROCHACBRUNO | {"username": word})
        assert response.status_code == 422, word
        assert response.json()["detail"][0]["loc"] == ["body", "username"]


def test_unknown_fields_are_not_stored(api_client):
    chosen = {"id": 2**40, "post_count": 7, "x": 1}
    response = api_client.post("/user/", json=ROCHACBRUNO | chosen)
    assert response.status_code == 201
    profile = api_client.get("/user/rochacbruno/").json()
    assert (profile["id"] != chosen["id"], profile["post_count"]) == (True, 0)


def test_list_users(api_client, sign_up):
    names = ["ana", "bia", "caio"]
    for name in names:
        sign_up(name)
    users = api_client.get("/user/").json()
    assert [user["username"] for user in users] == names
    assert all(set(user) == PUBLIC for user in users)


def test_profile(api_client, sign_up):
    ana, bia = sign_up("ana", bio="Oi"), sign_up("bia")
    ana.follow(bia)
    ana.write("reply", bia.write()["id"])
    profile = api_client.get("/user/ana/").json()
    assert set(profile) == PUBLIC | COUNTS | {*RELATIONS}
    assert profile["bio"] == "Oi"
    assert (profile["post_count"], profile["following_count"]) == (1, 1)
    assert api_client.get("/user/bia/").json()["follower_count"] == 1


@pytest.mark.parametrize("route", about("username"), ids=lambda route: route.name)
def test_unknown_user(api_client, route):
    client = superuser(api_client) if route.owner == 403 else api_client
    for name in ("nobody", "no-name", "x" * 300, "é"):
        response = client.request(route.method, route.path.format(username=name))
        assert response.status_code == 404
        assert response.json() == {"detail": "User not found"}


@pytest.mark.parametrize("route", about("user_id"), ids=lambda route: route.name)
def test_unknown_id(api_client_user1, route):
    for user_id in ("0", "-1", "999999999", str(2**63 - 1)):
        response = api_client_user1.request(route.method, route.path.format(user_id=user_id))
        assert response.status_code == 404
        assert response.json() == {"detail": "User not found"}


def test_a_name_that_only_looks_like_one(api_client, sign_up):
    sign_up("kim")
    assert api_client.get("/user/\u212aim/").status_code == 404  # the Kelvin sign, k in lower case


def test_me(api_client_user1):
    me = api_client_user1.get("/user/me/").json()
    own = {"email", "email_verified", "superuser", "unread_count"}
    assert set(me) == PUBLIC | COUNTS | {*RELATIONS} | own
    assert (me["email"], me["superuser"]) == ("user1@pamps.com", False)
    command("promote", "user1")
    assert api_client_user1.get("/user/me/").json()["superuser"] is True


def test_a_new_email_takes_a_fresh_sign_in(api_client, api_client_user1):
    tokens = sign_in(api_client, "user1")
    body = {"refresh_token": tokens["refresh_token"]}
    refreshed = Client(
        api_client, api_client.post("/refresh_token", json=body).json()["access_token"]
    )
    refused = refreshed.patch("/user/me/", json={"email": "new@pamps.com"})
    assert refused.status_code == 401
    assert refused.json() == {"detail": "A fresh sign-in is required"}
    same = {"email": "user1@pamps.com", "bio": "Oi"}
    assert refreshed.patch("/user/me/", json=same).status_code == 200
    fresh = Client(api_client, tokens["access_token"])
    assert fresh.patch("/user/me/", json={"email": "new@pamps.com"}).status_code == 200


def test_update_me(api_client, api_client_user1, api_client_user2):
    response = api_client_user1.patch("/user/me/", json={"bio": "Oi", "avatar": "https://a.b/c"})
    assert response.status_code == 200
    assert (response.json()["bio"], response.json()["avatar"]) == ("Oi", "https://a.b/c")
    changed = api_client_user1.patch("/user/me/", json={"bio": None, "email": "new@pamps.com"})
    assert changed.json()["bio"] is None
    assert changed.json()["avatar"] == "https://a.b/c"
    assert api_client_user1.get("/user/me/").json() == changed.json()
    taken = api_client_user1.patch("/user/me/", json={"email": "user2@pamps.com"})
    assert taken.status_code == 409
    assert taken.json() == {"detail": "Email already taken"}
    assert api_client_user1.patch("/user/me/", json={"email": None}).status_code == 422
    ignored = api_client_user1.patch("/user/me/", json={"username": "x", "id": 1, "password": "x"})
    assert ignored.json() == changed.json()


def test_delete_me(api_client, sign_up):
    from pamps.db import database_url

    ana, bia, caio = sign_up("ana"), sign_up("bia"), sign_up("caio")
    ana.follow(bia)
    caio.follow(ana)
    hers, his = ana.write("mine"), bia.write("yours")
    answer = caio.write("kept", hers["id"])
    ana.write("gone", his["id"])
    ana.write("gone too", his["id"])
    bia.write("stays", his["id"])
    ana.like(his)
    bia.like(hers)
    caio.like(his)

    assert ana.delete("/user/me/").status_code == 204
    wait_for_deletions(database_url())

    assert ana.get("/user/me/").status_code == 401
    assert api_client.get("/user/ana/").status_code == 404
    assert api_client.get(f"/post/{hers['id']}/").status_code == 404
    kept = api_client.get(f"/post/{answer['id']}/").json()
    assert (kept["text"], kept["parent_id"]) == ("kept", hers["id"])
    assert api_client.ids("/post/") == [his["id"]]
    left = api_client.get(f"/post/{his['id']}/").json()
    assert [reply["text"] for reply in left["replies"]] == ["stays"]
    assert (left["reply_count"], left["like_count"]) == (1, 1)
    assert api_client.get("/post/likes/bia/").json() == []
    assert api_client.get("/user/bia/").json()["follower_count"] == 0
    assert api_client.get("/user/caio/").json()["following_count"] == 0


def test_follow(api_client_user1, api_client_user2):
    path = f"/user/follow/{api_client_user2.id}"
    response = api_client_user1.post(path)
    assert response.status_code == 201
    social = response.json()
    assert set(social) == {"from_id", "to_id", "date"}
    assert (social["from_id"], social["to_id"]) == (api_client_user1.id, api_client_user2.id)
    again = api_client_user1.post(path)
    assert again.status_code == 200
    assert again.json() == social


def test_follow_refuses(api_client_user1):
    oneself = api_client_user1.post(f"/user/follow/{api_client_user1.id}")
    assert oneself.status_code == 400


def test_unfollow(api_client, api_client_user1, api_client_user2):
    path = f"/user/follow/{api_client_user2.id}"
    api_client_user1.follow(api_client_user2)
    for _ in range(2):
        assert api_client_user1.delete(path).status_code == 204
    assert api_client.get("/user/user2/followers/").json() == []
    assert api_client.get("/user/user2/").json()["follower_count"] == 0
    assert api_client.get("/user/user1/").json()["following_count"] == 0


def test_followers_and_following(api_client, sign_up):
    ana, bia, caio = sign_up("ana"), sign_up("bia"), sign_up("caio")
    bia.follow(ana)
    caio.follow(ana, bia)
    followers = api_client.get("/user/ana/followers/").json()
    assert [user["username"] for user in followers] == ["caio", "bia"]
    assert all(set(user) == PUBLIC for user in followers)
    following = api_client.get("/user/caio/following/").json()
    assert [user["username"] for user in following] == ["bia", "ana"]


def test_timeline(sign_up):
    ana, bia, caio, davi = (sign_up(name) for name in ("ana", "bia", "caio", "davi"))
    ana.follow(bia, caio)
    first = bia.write("first")
    ana.write("mine")
    davi.write("of nobody that ana follows")
    second = caio.write("second")
    reply = bia.write("a reply", first["id"])
    assert ana.ids("/user/timeline") == [reply["id"], second["id"], first["id"]]
    ana.like(second)
    assert [post["liked"] for post in ana.get("/user/timeline").json()] == [False, True, False]
    assert davi.ids("/user/timeline") == []


def test_a_change_of_the_profile_answers_with_what_it_wrote(sign_up):
    """Also when another change was stored after this one had read the profile."""
    from sqlalchemy import text

    from pamps.db import engine

    ana = sign_up("ana", bio="first")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    waiting += " AND datname = current_database()"
    with engine.connect() as other, engine.connect() as watcher, ThreadPoolExecutor() as pool:
        other.execute(text("UPDATE \"user\" SET bio = 'second'"))
        change = {"json": {"bio": "first"}, "headers": {"If-Match": "*"}}
        changing = pool.submit(ana.patch, "/user/me/", **change)
        while not changing.done() and not watcher.scalar(text(waiting)):
            watcher.rollback()
        other.commit()
        answer = changing.result()
    assert (answer.status_code, answer.json()["bio"]) == (200, "first")
    assert ana.get("/user/me/").json() == answer.json()


def test_many_changes_of_the_profile_at_once(sign_up):
    ana = sign_up("ana")
    bios = [f"{n % 2}" for n in range(30)]
    answers = at_once(*[lambda bio=bio: ana.patch("/user/me/", json={"bio": bio}) for bio in bios])
    assert [(answer.status_code, answer.json()["bio"]) for answer in answers] == [
        (200, bio) for bio in bios
    ]


def test_blanks_around_a_name_or_an_e_mail_address(api_client):
    password = f" {canary.WORD} "
    user = {"username": " Ana\t", "email": "\u00a0ana@pamps.com ", "password": password}
    created = api_client.post("/user/", json=user)
    assert (created.status_code, created.json()["username"]) == (201, "Ana")
    assert api_client.post("/user/", json=user | {"email": "a@b.org"}).status_code == 409
    form = {"username": "ana ", "password": password.strip()}
    assert api_client.post("/token", data=form).status_code == 401
    token = sign_in(api_client, " ana", password)["access_token"]
    ana = Client(api_client, token)
    assert ana.get("/user/me/").json()["email"] == "ana@pamps.com"
    assert ana.patch("/user/me/", json={"email": " b@pamps.com "}).json()["email"] == "b@pamps.com"
    for name in ("a b", " ", ""):
        assert api_client.post("/user/", json=user | {"username": name}).status_code == 422


def test_what_is_not_known_is_ignored(api_client, api_client_user1):
    """Fields of a body and parameters of a list that clients of other versions may send."""
    changed = api_client_user1.patch("/user/me/", json={"username": "other", "bio": "Oi!", "id": 7})
    assert changed.status_code == 200
    assert (changed.json()["username"], changed.json()["bio"]) == ("user1", "Oi!")
    assert api_client.get("/user/other/").status_code == 404
    post_id = api_client_user1.write()["id"]
    for path in ("/post/", "/post/user/user1/", "/user/timeline", "/user/", "/user/me/sessions/"):
        plain = api_client_user1.get(path)
        assert api_client_user1.get(path, params={"page": 2, "sort": "x"}).json() == plain.json()
    assert api_client_user1.ids("/post/", offset=1) == [post_id]


def test_what_is_between_two_users(api_client, sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")

    def between(client, username: str) -> list[bool | None]:
        profile = client.get(f"/user/{username}/").json()
        return [profile[name] for name in RELATIONS]

    nothing = [False] * 4
    assert between(ana, "bia") == between(ana, "ana") == between(ana, "me") == nothing
    ana.follow(bia)
    ana.post(f"/user/mute/{bia.id}")
    assert between(ana, "bia") == [True, False, False, True]
    assert between(bia, "ana") == [False, True, False, False]
    ana.post(f"/user/block/{bia.id}")
    assert between(ana, "bia") == [False, False, True, True]
    assert between(bia, "ana") == nothing
    assert between(api_client, "ana") == between(api_client, "bia") == [None] * 4

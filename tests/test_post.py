"""Posts and replies."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from tests.databases import here, locked, query
from tests.routes import about, content, values

FIELDS = {"id", "text", "date", "user_id", "parent_id", "edited_at", "user", "like_count"}
FIELDS |= {"reply_count", "repost_count", "liked", "reposted", "bookmarked", "mentions", "tags"}


def test_create_post(api_client_user1):
    response = api_client_user1.post("/post/", json={"text": "Olá 🐦", "id": 1, "user_id": 2})
    assert response.status_code == 201
    post = response.json()
    assert set(post) == FIELDS
    assert post["text"] == "Olá 🐦"
    assert post["user_id"] == api_client_user1.id
    assert post["user"] == {"id": api_client_user1.id, "username": "user1", "avatar": None}
    assert (post["parent_id"], post["edited_at"], post["liked"]) == (None, None, False)
    assert (post["like_count"], post["reply_count"]) == (0, 0)
    assert post["date"].endswith("Z")
    age = datetime.now().astimezone() - datetime.fromisoformat(post["date"])
    assert abs(age) < timedelta(minutes=1)


def test_what_is_written_is_what_is_read(api_client_user1):
    post = api_client_user1.write("  two\nlines\t' \" \\ % $ ")
    read = api_client_user1.get(f"/post/{post['id']}/").json()
    assert read.pop("replies") == []
    assert read == post


def test_reply_to_nothing(api_client_user1):
    response = api_client_user1.post("/post/", json={"text": "x", "parent_id": 999999999})
    assert response.status_code == 404
    assert api_client_user1.get("/user/me/").json()["post_count"] == 0


@pytest.mark.parametrize(("length", "status"), [(0, 422), (1, 201), (255, 201), (256, 422)])
def test_length_of_text(api_client_user1, length, status):
    assert api_client_user1.post("/post/", json={"text": "🐦" * length}).status_code == status


def test_home(api_client, api_client_user1, api_client_user2):
    first = api_client_user1.write("first")
    api_client_user2.write("reply", first["id"])
    second = api_client_user2.write("second")
    posts = api_client.get("/post/").json()
    assert [post["id"] for post in posts] == [second["id"], first["id"]]
    assert posts[1]["reply_count"] == 1
    assert all(set(post) == FIELDS for post in posts)


def test_post_with_replies(api_client, api_client_user1):
    post = api_client_user1.write()
    replies = [api_client_user1.write(str(n), post["id"])["id"] for n in range(22)]
    response = api_client.get(f"/post/{post['id']}/")
    assert set(response.json()) == FIELDS | {"replies"}
    assert [reply["id"] for reply in response.json()["replies"]] == replies[:20]
    assert response.json()["reply_count"] == 22
    others = api_client.get(f"/post/{post['id']}/" + response.links["next"]["url"])
    assert [reply["id"] for reply in others.json()] == replies[20:]
    assert "next" not in others.links
    assert api_client.ids(f"/post/{post['id']}/replies/", limit=100) == replies


@pytest.mark.parametrize("route", about("post_id"), ids=lambda route: route.name)
def test_unknown_post(api_client_user1, route):
    known = values(api_client_user1, 0)
    for post_id in ("0", "-1", "999999999", str(2**63 - 1)):
        path = route.path.format(post_id=post_id)
        response = api_client_user1.request(route.method, path, **content(route, known))
        assert response.status_code == 404
        assert response.json() == {"detail": "Post not found"}


def test_update_post(api_client, api_client_user1, api_client_user2):
    post = api_client_user1.write("before")
    api_client_user2.like(post)
    path = f"/post/{post['id']}/"
    response = api_client_user1.patch(path, json={"text": "after", "parent_id": 1, "date": "x"})
    assert response.status_code == 200
    changed = response.json()
    assert changed["text"] == "after"
    assert changed["edited_at"] > post["date"]
    assert changed["like_count"] == 1
    assert changed["parent_id"] is None
    read = api_client_user1.get(path).json()
    assert read.pop("replies") == []
    assert read == changed
    assert api_client_user2.patch(path, json={"text": "mine now"}).status_code == 403
    assert api_client_user1.patch(path, json={"text": ""}).status_code == 422
    assert api_client.get(path).json()["text"] == "after"


@pytest.mark.parametrize(
    ("method", "if_match", "status"),
    [("PATCH", False, 200), ("PATCH", True, 412), ("DELETE", False, 204), ("DELETE", True, 412)],
)
def test_a_post_that_is_edited_while_it_is_changed(api_client_user1, method, if_match, status):
    """The change waits for the other edit, and is then checked against the text as it is."""
    path = f"/post/{api_client_user1.write('first')['id']}/"
    headers = {"If-Match": api_client_user1.get(path).headers["etag"]} if if_match else {}
    body = {"text": "changed"} if method == "PATCH" else None
    database = here().render_as_string(hide_password=False)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    waiting += " AND datname = current_database()"
    with ThreadPoolExecutor(1) as pool, locked(database, "UPDATE post SET text = 'second'"):
        changing = pool.submit(api_client_user1.request, method, path, json=body, headers=headers)
        while not changing.done() and query(waiting) == [(0,)]:
            pass
    assert changing.result().status_code == status
    assert (
        query("SELECT text FROM post") == {200: [("changed",)], 204: [], 412: [("second",)]}[status]
    )


def test_delete_post(api_client, api_client_user1, api_client_user2):
    secret = "a word that nobody else uses"
    grandparent = api_client_user2.write()
    post = api_client_user1.write(secret, grandparent["id"])
    reply = api_client_user2.write("kept", post["id"])
    api_client_user2.like(post)
    path = f"/post/{post['id']}/"

    assert api_client_user2.delete(path).status_code == 403
    assert api_client_user1.delete(path).status_code == 204

    assert api_client_user1.delete(path).status_code == 404
    for client in (api_client, api_client_user1):
        assert client.get(path).status_code == 404
        assert client.get(f"{path}replies/").status_code == 404
        assert client.get(f"{path}likes/").status_code == 404
    assert api_client.get(f"/post/{reply['id']}/").json()["parent_id"] == post["id"]
    assert api_client.ids("/post/") == [grandparent["id"]]
    assert api_client.ids("/post/user/user2/", include_replies=True) == [
        grandparent["id"],
        reply["id"],
    ]
    assert api_client.get("/post/likes/user2/").json() == []
    assert api_client.get(f"/post/{grandparent['id']}/").json()["reply_count"] == 0
    assert api_client.get("/user/user1/").json()["post_count"] == 0
    assert_nowhere_in_the_database(secret)
    assert api_client_user2.delete(f"/post/{reply['id']}/").status_code == 204


def assert_nowhere_in_the_database(words: str) -> None:
    from sqlalchemy import text

    from pamps.db import engine
    from pamps.models import SQLModel

    with engine.connect() as connection:
        for table in SQLModel.metadata.sorted_tables:
            query = text(f'SELECT count(*) FROM "{table.name}" AS t WHERE t::text LIKE :words')
            assert connection.scalar(query, {"words": f"%{words}%"}) == 0


def test_posts_of_a_user(api_client, api_client_user1, api_client_user2):
    first = api_client_user1.write("first")
    api_client_user2.write("of another")
    reply = api_client_user1.write("reply", first["id"])
    second = api_client_user1.write("second")
    path = "/post/user/user1/"
    assert api_client.ids(path) == [first["id"], second["id"]]
    assert api_client.ids(path, order="newest") == [second["id"], first["id"]]
    everything = [first["id"], reply["id"], second["id"]]
    assert api_client.ids(path, include_replies=True) == everything
    assert api_client.ids(path, include_replies=True, order="newest") == everything[::-1]
    assert api_client.get(path, params={"order": "random"}).status_code == 422


def test_times_always_have_six_digits_of_a_fraction(sign_up):
    """Also those of a whole second, whose fraction is nothing but zeros."""
    from pamps.db import engine

    ana, bia = sign_up("ana"), sign_up("bia")
    post = ana.write()
    edited = ana.patch(f"/post/{post['id']}/", json={"text": "edited"}).json()
    bia.like(post)
    bia.follow(ana)
    with engine.begin() as connection:
        for table, name in (
            ("post", "date"),
            ("post", "edited_at"),
            ("like", "date"),
            ("social", "date"),
            ("session", "started"),
            ("session", "last_used"),
        ):
            connection.exec_driver_sql(
                f"UPDATE \"{table}\" SET {name} = date_trunc('second', {name})"
            )
    (session,) = ana.get("/user/me/sessions/").json()
    (listed,) = ana.get("/post/").json()
    times = [
        listed["date"],
        listed["edited_at"],
        ana.get(f"/post/{post['id']}/").json()["date"],
        bia.post(f"/post/{post['id']}/like/").json()["date"],
        bia.post(f"/user/follow/{ana.id}").json()["date"],
        session["started"],
        session["last_used"],
    ]
    for time in times:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000000Z", time)
    assert re.fullmatch(r".{19}\.\d{6}Z", edited["edited_at"])

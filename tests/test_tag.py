"""Hashtags: the posts that have one, and which are popular."""

from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.databases import execute, here
from tests.helpers import assert_told

# How PostgreSQL plans for values that it knows, and for all values.
PLANS = ["force_custom_plan", "force_generic_plan"]


def page(tag: str) -> str:
    return f"/post/tag/{quote(tag, safe='')}/"


@pytest.fixture
def popular(server, api_client) -> Callable[..., list[tuple]]:
    """Asks for the popular hashtags, and not for those that were popular a moment ago."""
    from pamps.routes.tag import popular

    async def forget() -> None:
        popular.forget()

    def get(**params: object) -> list[tuple]:
        server.portal.call(forget)
        response = api_client.get("/tag/", params=params)
        assert response.status_code == 200, response.text
        assert all(list(tag) == ["tag", "post_count", "user_count"] for tag in response.json())
        return [tuple(tag.values()) for tag in response.json()]

    return get


def test_posts_with_a_hashtag(api_client, api_client_user1, api_client_user2):
    first = api_client_user1.write("#São_João!")["id"]
    api_client_user1.write("são_joão, #são")
    reply = api_client_user2.write("é #SA\u0303O_JOA\u0303O #festa", first)["id"]
    for tag in ("são_joão", "SÃO_JOÃO", "sa\u0303o_joa\u0303o"):
        assert api_client.ids(page(tag)) == [reply, first]
    assert api_client.ids(page("festa")) == [reply]
    (post,) = api_client.get(page("festa")).json()
    assert post["tags"] == ["são_joão", "festa"]
    assert [api_client.ids(page(tag)) for tag in post["tags"]] == [[reply, first], [reply]]


@pytest.mark.parametrize("tag", ["no", "1", "a b", "#tag", "x" * 51, "\u0301" * 200, "😀", "'"])
def test_what_no_post_has(api_client, api_client_user1, tag):
    api_client_user1.write("#tag")
    response = api_client.get(page(tag))
    assert (response.status_code, response.json()) == (200, [])


def test_a_text_that_is_too_long_for_a_hashtag(api_client):
    assert_told(api_client.get(page("x" * 201)))


def test_edited_and_deleted_posts(api_client, api_client_user1, popular):
    post = api_client_user1.write("#one #two")
    path = f"/post/{post['id']}/"
    edited = api_client_user1.patch(path, json={"text": "#two #three"}).json()
    assert edited["tags"] == ["two", "three"]
    found = [api_client.ids(page(tag)) for tag in ("one", "two", "three")]
    assert found == [[], [post["id"]], [post["id"]]]
    assert popular() == [("three", 1, 1), ("two", 1, 1)]
    assert api_client_user1.delete(path).status_code == 204
    assert api_client.ids(page("two")) == []
    assert popular() == []


def test_popular_hashtags(api_client_user1, api_client_user2, popular):
    for text in ("#often", "#often", "#often #often #OFTEN", "#both #b", "#a"):
        api_client_user1.write(text)
    for text in ("#both", "#both #B #a"):
        api_client_user2.write(text)
    assert popular() == [("both", 3, 2), ("a", 2, 2), ("b", 2, 2), ("often", 3, 1)]
    assert popular(limit=1) == [("both", 3, 2)]


def test_twenty_hashtags_are_popular(api_client_user1, popular):
    tags = [f"tag{n:02}" for n in range(30)]
    for some in (tags[:15], tags[15:]):
        api_client_user1.write(" ".join(f"#{tag}" for tag in some))
    assert [tag for tag, *_ in popular()] == tags[:20]
    assert [tag for tag, *_ in popular(limit=100)] == tags


def test_what_was_popular_earlier(api_client, api_client_user1, popular):
    post_id = api_client_user1.write("#earlier")["id"]
    api_client_user1.write("#now")
    past = "now() - interval '7 days 1 second'"
    execute(here(), f"UPDATE tag SET date = {past} WHERE tag = 'earlier'")
    assert popular() == [("now", 1, 1)]
    assert api_client.ids(page("earlier")) == [post_id]


def test_deleted_accounts(api_client, api_client_user1, api_client_user2, popular):
    api_client_user1.write("#tag")
    left = api_client_user2.write("#tag")["id"]
    assert api_client_user1.delete("/user/me/").status_code == 204
    assert popular() == [("tag", 1, 1)]
    assert api_client.ids(page("tag")) == [left]


@pytest.mark.parametrize("mode", PLANS)
def test_plans(on_other_database, mode):
    """Only uses of a hashtag are read, be it common, rare, or common only in old posts."""
    from pamps.db import engine
    from pamps.routes.tag import POPULAR_TAGS, TAGGED_POSTS

    tagged = TAGGED_POSTS._query(True, False, 20)
    with engine.connect() as connection:
        for statement in (
            """INSERT INTO "user" (username, email, password)
               SELECT 'u' || n, n || '@pamps.com', '$argon2$' FROM generate_series(1, 50) n""",
            """INSERT INTO post (text, user_id)
               SELECT 'x', u.id FROM generate_series(1, 400), "user" u""",
            """INSERT INTO tag (tag, post_id, user_id, date)
               SELECT name, id, user_id, now() - id % 300 * interval '1 day' FROM post,
               LATERAL (VALUES ('common', 1), ('old', 2), ('rare', 3)) AS names (name, kind)
               WHERE kind = 1 OR kind = 2 AND id < 2000 OR kind = 3 AND id % 5000 = 0""",
            "ANALYZE",
            f"SET LOCAL plan_cache_mode = {mode}",
            "PREPARE tagged AS " + tagged._sql.decode(),
        ):
            connection.exec_driver_sql(statement.replace("%", "%%"))
        values = {"viewer_id": "1", "cursor": str(2**63 - 1)}
        plans = []
        for tag in ("common", "old", "rare", "none"):
            given = ", ".join((values | {"tag": f"'{tag}'"})[name] for name in tagged._order)
            explain = f"EXPLAIN (COSTS OFF) EXECUTE tagged({given})"
            plans.append("\n".join(connection.exec_driver_sql(explain).scalars()))
        explain = "EXPLAIN (COSTS OFF) " + POPULAR_TAGS._sql.decode()
        popular = "\n".join(connection.exec_driver_sql(explain).scalars())
        connection.exec_driver_sql("DEALLOCATE tagged")
    for plan in plans:
        assert "Index Only Scan Backward using pk_tag on tag" in plan
        assert "Merge Join" not in plan
        assert "Hash Join" not in plan
    assert "ix_tag_date" in popular

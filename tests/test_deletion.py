"""Accounts that are deleted: at once for everybody, and their rows in batches."""

import contextlib
from collections.abc import Iterator

import psycopg2
import pytest
from sqlalchemy import URL, make_url
from sqlalchemy.dialects.postgresql.psycopg2 import dialect as psycopg2_dialect

from tests import canary
from tests.databases import (
    assert_counters_are_true,
    execute,
    here,
    locked,
    query,
    wait_for_deletions,
)
from tests.helpers import USER, at_once, command, sign_in, superuser
from tests.routes import about, content
from tests.servers import served

# More than several batches.
MANY = 450
FANS = """
INSERT INTO "user" (username, email, password)
SELECT 'fan' || n, 'fan' || n || '@pamps.com', '$argon2$' FROM generate_series(1, {many}) n
"""
# Of each kind of row: follows in both directions, posts, replies, likes given and received.
FAME = """
INSERT INTO social (from_id, to_id) SELECT id, {id} FROM "user" WHERE username LIKE 'fan%';
INSERT INTO social (from_id, to_id) SELECT {id}, id FROM "user" WHERE username LIKE 'fan%';
INSERT INTO post (text, user_id) SELECT 'theirs', id FROM "user" WHERE username LIKE 'fan%';
INSERT INTO post (text, user_id, parent_id) SELECT 'a reply', {id}, id FROM post;
INSERT INTO post (text, user_id) SELECT 'a post', {id} FROM generate_series(1, {many});
INSERT INTO post (text, user_id, parent_id)
    SELECT 'an answer', (SELECT max(user_id) FROM post), id FROM post
    WHERE user_id = {id} AND id % 2 = 0;
INSERT INTO "like" (user_id, post_id) SELECT {id}, id FROM post;
INSERT INTO "like" (user_id, post_id)
    SELECT u.id, p.id FROM "user" u, (SELECT max(id) AS id FROM post WHERE user_id = {id}) p
    WHERE username LIKE 'fan%';
INSERT INTO repost (user_id, post_id) SELECT user_id, post_id FROM "like"
"""
COUNT = """
UPDATE post SET like_count = (SELECT count(*) FROM "like" WHERE post_id = post.id),
    repost_count = (SELECT count(*) FROM repost WHERE post_id = post.id),
    reply_count = (SELECT count(*) FROM post AS reply WHERE reply.parent_id = post.id);
UPDATE "user" SET post_count = (SELECT count(*) FROM post WHERE user_id = "user".id),
    follower_count = (SELECT count(*) FROM social WHERE to_id = "user".id),
    following_count = (SELECT count(*) FROM social WHERE from_id = "user".id)
"""


def make_famous(database: URL, user_id: int, many: int = MANY) -> None:
    execute(database, FANS.format(many=many), FAME.format(id=user_id, many=many), COUNT)


@contextlib.contextmanager
def rows_kept(user_id: int) -> Iterator[psycopg2.extensions.cursor]:
    """The rows of an account stay, but for what the cursor deletes."""
    dsn = here().set(drivername="postgresql").render_as_string(hide_password=False)
    with contextlib.closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [-user_id])
        yield cursor


def left_of(user_id: int) -> int:
    """How many rows there are that name an account, in whatever table."""
    from pamps.models import SQLModel

    keys = [
        key
        for table in SQLModel.metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table.name == "user"
    ]
    columns = [("user", "id"), *((key.parent.table.name, key.parent.name) for key in keys)]
    assert len(columns) >= 7
    counts = [
        f'SELECT count(*) FROM "{table}" WHERE {column} = {user_id}' for table, column in columns
    ]
    return sum(count for (count,) in query(" UNION ALL ".join(counts)))


def test_a_deleted_account_is_gone_for_everybody_at_once(api_client, sign_up):
    ana = sign_up("ana", bio="Oi", avatar="https://a.b/c")
    bia, caio = sign_up("bia"), sign_up("caio")
    hers, his = ana.write("hers"), bia.write("his")
    answer = bia.write("an answer", hers["id"])
    for n in range(3):
        ana.write(f"reply {n}", his["id"])
    last = caio.write("the last reply", his["id"])
    for client in (ana, caio):
        client.follow(bia)
        client.like(his)
    bia.follow(ana, caio)
    caio.follow(ana)
    bia.like(hers)
    tokens = sign_in(api_client, "ana")

    with rows_kept(ana.id):
        assert ana.delete("/user/me/").status_code == 204
        assert left_of(ana.id) > 0

        for path in ("/user/me/", "/user/timeline", "/post/"):
            assert ana.get(path).status_code == 401
        refresh = {"refresh_token": tokens["refresh_token"]}
        assert api_client.post("/refresh_token", json=refresh).status_code == 401
        form = {"username": "ana", "password": canary.password("ana")}
        assert api_client.post("/token", data=form).status_code == 401
        known = {"username": "ana", "user_id": ana.id, "post_id": hers["id"], "new": "new"}
        root = superuser(api_client)
        for route in about("username") + about("user_id") + about("post_id"):
            client = root if route.owner == 403 else bia
            path = route.path.format(**known)
            response = client.request(route.method, path, **content(route, known))
            assert response.status_code == 404, route.name
        assert bia.get("/user/deleted/").status_code == 404
        reply = {"text": "hello?", "parent_id": hers["id"]}
        assert bia.post("/post/", json=reply).status_code == 404

        assert api_client.ids("/user/")[:2] == [bia.id, caio.id]
        assert api_client.ids("/user/bia/followers/") == [caio.id]
        assert api_client.ids("/user/bia/following/") == [caio.id]
        assert api_client.ids("/post/") == [his["id"]]
        assert api_client.ids(f"/post/{his['id']}/likes/") == [caio.id]
        assert api_client.ids("/post/likes/bia/") == []
        assert api_client.get(f"/post/{answer['id']}/").json()["parent_id"] == hers["id"]
        # Her rows would be the only ones of the first page.
        thread = api_client.get(f"/post/{his['id']}/").json()
        assert [reply["id"] for reply in thread["replies"]] == [last["id"]]
        for path, ids in (
            (f"/post/{his['id']}/replies/?limit=1", [last["id"]]),
            ("/user/timeline?limit=1", [last["id"]]),
        ):
            assert [post["id"] for page in bia.walk(path) for post in page] == ids
        assert "ana" not in command("user-list")

        row = f'SELECT email, username, bio, avatar, password FROM "user" WHERE id = {ana.id}'
        assert query(row) == [("", "deleted", None, None, "$argon2$")]
        assert sign_up("ana").id != ana.id

    wait_for_deletions(here())
    assert left_of(ana.id) == 0
    assert_counters_are_true()
    left = api_client.get(f"/post/{his['id']}/").json()
    assert (left["reply_count"], left["like_count"]) == (1, 1)


@pytest.mark.parametrize("way", ["by oneself", "by a superuser", "at a terminal"])
def test_rows_go_in_batches(api_client, sign_up, way):
    ana = sign_up("ana")
    make_famous(here(), ana.id)
    assert_counters_are_true()
    if way == "by oneself":
        assert ana.delete("/user/me/").status_code == 204
    elif way == "by a superuser":
        assert superuser(api_client).delete("/user/ana/").status_code == 204
    else:
        assert command("delete-user", "ana", "--force") == "deleted ana user\n"
        assert left_of(ana.id) == 0
    wait_for_deletions(here())
    assert left_of(ana.id) == 0
    assert_counters_are_true()
    kept = query("SELECT count(*) FROM post WHERE text IN ('theirs', 'an answer')")
    assert kept == [(MANY + MANY,)]


def test_a_process_that_is_killed_leaves_the_rest_to_the_next(other_database):
    """So does one that has to wait for too long. Meanwhile nobody notices any of it."""
    database, log = make_url(other_database), []
    settings = {"PAMPS_DB__uri": other_database, "PAMPS_DB__lock_timeout": "1"}
    with served(settings, log=log) as (process, client):
        ana = client.post("/user/", json=USER).json()
        make_famous(database, ana["id"])
        token = client.post("/token", data=USER).json()["access_token"]
        with locked(other_database, "SELECT id FROM \"user\" WHERE username = 'fan9' FOR UPDATE"):
            me = {"Authorization": f"Bearer {token}"}
            assert client.delete("/user/me/", headers=me).status_code == 204
            assert client.get("/user/ana/").status_code == 404
            while not any("lock timeout" in line for line in log):
                assert process.poll() is None
            assert client.post("/user/", json=USER).status_code == 201
            process.kill()
            process.wait()
    ((left,),) = execute(database, "SELECT count(*) FROM social")
    assert left > 0
    with served(settings) as (process, client):
        wait_for_deletions(database)
        process.terminate()
    assert execute(database, "SELECT count(*) FROM social") == [(0,)]
    assert_counters_are_true(database)


def test_of_two_deletions_at_once_each_deletes_its_own(sign_up):
    """Two that follow each other and like the same posts: no batch waits for the other for good."""
    ana, bia = sign_up("ana"), sign_up("bia")
    make_famous(here(), ana.id)
    execute(
        here(),
        f"""
        INSERT INTO social (from_id, to_id) VALUES ({ana.id}, {bia.id}), ({bia.id}, {ana.id});
        INSERT INTO social (from_id, to_id)
            SELECT {bia.id}, to_id FROM social WHERE from_id = {ana.id} AND to_id <> {bia.id};
        INSERT INTO "like" (user_id, post_id) SELECT {bia.id}, id FROM post
        """,
        COUNT,
    )
    answers = at_once(*[lambda client=client: client.delete("/user/me/") for client in (ana, bia)])
    assert [answer.status_code for answer in answers] == [204, 204]
    wait_for_deletions(here())
    assert_counters_are_true()


@pytest.mark.parametrize("kind", ["like", "repost"])
def test_a_post_that_many_like_or_repost(api_client, sign_up, kind):
    from pamps.maintenance.deletion import MANY_REFERENCES

    ana, bia = sign_up("ana"), sign_up("bia")
    parent = bia.write()
    post = ana.write("liked #tag @bia", parent["id"])
    answer = bia.write("an answer", post["id"])
    rows = f'INSERT INTO "{kind}" SELECT id, {post["id"]} FROM "user" WHERE username LIKE \'fan%\''
    count = f"UPDATE post SET {kind}_count = {MANY_REFERENCES} WHERE id = {post['id']}"
    execute(here(), FANS.format(many=MANY_REFERENCES), rows, count)
    # The background task waits, so that nothing is gone by its work.
    with locked(here(), f'SELECT user_id FROM "{kind}" FOR UPDATE'):
        assert ana.delete(f"/post/{post['id']}/").status_code == 204
        assert ana.delete(f"/post/{post['id']}/").status_code == 404
        assert api_client.get(f"/post/{post['id']}/").status_code == 404
        erased = [("deleted", None, None)]
        assert query(f"SELECT text, tags, mention_ids FROM post WHERE id = {post['id']}") == erased
        assert query("SELECT count(*) FROM tag") == [(0,)]
    assert ana.get("/user/me/").json()["post_count"] == 0
    thread = api_client.get(f"/post/{parent['id']}/").json()
    assert (thread["reply_count"], thread["replies"]) == (0, [])
    assert api_client.get(f"/post/{answer['id']}/").json()["parent_id"] == post["id"]
    wait_for_deletions(here())
    assert_counters_are_true()
    assert query(f'SELECT count(*) FROM "{kind}"') == [(0,)]


def test_if_match_is_looked_at_before_anything_is_locked(api_client_user1):
    with locked(here(), 'SELECT id FROM "user" FOR UPDATE'):
        stale = api_client_user1.delete("/user/me/", headers={"If-Match": '"stale"'})
    assert stale.status_code == 412


def rows_read(plan: dict) -> float:
    """How many rows a plan's scans find or pass over."""
    read = sum(map(rows_read, plan.get("Plans", [])))
    if "Relation Name" in plan and "Scan" in plan["Node Type"]:
        found = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        found += plan.get("Rows Removed by Index Recheck", 0)
        read += found * plan["Actual Loops"]
    return read


def test_an_empty_account_costs_as_little_in_a_large_service(api_client, sign_up):
    from pamps.maintenance.deletion import BATCHES, DELETE_USER_ROW, DELETED_ACCOUNTS

    ana = sign_up("ana")
    many = "generate_series(1, 20000) n"
    users = """SELECT 'user' || n, 'user' || n || '@pamps.com', '$argon2$' FROM """ + many
    some = f'(SELECT id, row_number() OVER (ORDER BY id) n FROM "user" WHERE id <> {ana.id}) u'
    execute(
        here(),
        f'INSERT INTO "user" (username, email, password) {users}',
        f"INSERT INTO post (text, user_id, parent_id) SELECT 'x', id, nullif(n % 5, 0) FROM {some}",
        f"INSERT INTO social (from_id, to_id) SELECT id, id - n % 50 - 1 FROM {some} WHERE n > 50",
        'INSERT INTO "like" (user_id, post_id) SELECT user_id, id - 50 + id % 50 FROM post'
        " WHERE id > (SELECT min(id) + 50 FROM post)",
        "ANALYZE",
    )
    read = {}
    with rows_kept(ana.id) as cursor:
        assert ana.delete("/user/me/").status_code == 204
        for query in (DELETED_ACCOUNTS, *BATCHES, DELETE_USER_ROW):
            compiled = query.statement.compile(dialect=psycopg2_dialect())
            explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled}"
            cursor.execute(explain, compiled.params | {"account_id": ana.id})
            ((plan,),) = cursor.fetchone()
            read[str(compiled)] = rows_read(plan["Plan"])
    assert max(read.values()) <= 10, read

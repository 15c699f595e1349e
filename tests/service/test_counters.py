"""Writes at the same time: one row each, and counters that equal the truth."""

from sqlalchemy import make_url

from tests.databases import assert_counters_are_true, execute, query
from tests.helpers import Client, at_once
from tests.servers import signed_in


def test_the_same_thing_many_times(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    post = ana.write()
    paths = [f"/post/{post['id']}/{noun}/" for noun in ("like", "repost", "bookmark")]
    paths += [f"/user/{noun}/{ana.id}" for noun in ("follow", "mute", "block")]
    for path in paths:
        responses = at_once(*[lambda path=path: bia.post(path)] * 20)
        assert sorted(response.status_code for response in responses) == [200] * 19 + [201]
        assert len({response.text for response in responses}) == 1
        assert_counters_are_true()
        responses = at_once(*[lambda path=path: bia.delete(path)] * 20)
        assert {response.status_code for response in responses} == {204}
        assert_counters_are_true()


def test_a_post_that_many_like_at_once(sign_up):
    users = [sign_up(f"user{n}") for n in range(64)]
    post = users[0].write()
    path = f"/post/{post['id']}/like/"
    responses = at_once(*[lambda user=user: user.post(path) for user in users])
    assert {response.status_code for response in responses} == {201}
    assert users[0].get(f"/post/{post['id']}/").json()["like_count"] == 64
    assert_counters_are_true()


def test_locks_are_let_go_while_everybody_waits_for_them(sign_up):
    """A DELETE that finds nothing has locked the post, and all threads wait with a like of it."""
    ana, users = sign_up("ana"), [sign_up(f"user{n}") for n in range(10)]
    path = f"/post/{ana.write()['id']}/like/"
    calls = [lambda user=user: user.post(path) for user in users] * 4
    unlikes = [lambda: ana.delete(path)] * 20
    responses = at_once(*unlikes, *calls, *unlikes, *calls)
    assert {response.status_code for response in responses} == {200, 201, 204}
    assert_counters_are_true()


def test_a_reply_to_nothing_counts_for_nobody(sign_up):
    ana = sign_up("ana")
    for parent_id in (0, -1, 10**9):
        reply = {"text": "hello?", "parent_id": parent_id}
        assert ana.post("/post/", json=reply).status_code == 404
    assert ana.get("/user/me/").json()["post_count"] == 0


def test_the_same_name_many_times(api_client):
    user = {"username": "ana", "email": "ana@pamps.com", "password": "lalala"}
    responses = at_once(*[lambda: api_client.post("/user/", json=user)] * 10)
    assert sorted(response.status_code for response in responses) == [201] + [409] * 9


def test_the_same_deletion_many_times(sign_up):
    ana = sign_up("ana")
    parent = ana.write()
    reply = ana.write("reply", parent["id"])
    responses = at_once(*[lambda: ana.delete(f"/post/{reply['id']}/")] * 10)
    assert sorted(response.status_code for response in responses) == [204] + [404] * 9
    assert_counters_are_true()


def test_as_many_follows_as_are_allowed(other_database):
    """Also when many are asked for at once."""
    database = make_url(other_database)
    others = """
        INSERT INTO "user" (username, email, password)
        SELECT 'user' || n, 'user' || n || '@pamps.com', '$argon2$' FROM generate_series(1, 50) n
        RETURNING id
    """
    with signed_in(other_database, SOCIAL__max_following="10") as client:
        ids = [id for (id,) in execute(database, others)]
        follow = lambda id: client.post(f"/user/follow/{id}")  # noqa: E731
        answers = at_once(*[lambda id=id: follow(id) for id in ids])
        assert sorted(answer.status_code for answer in answers) == [201] * 10 + [422] * 40
        refused = next(answer for answer in answers if answer.status_code == 422).json()["detail"]
        assert refused[0]["loc"] == ["path", "user_id"]
        assert "You follow 10 users" in refused[0]["msg"]
        statuses = [answer.status_code for answer in answers]
        followed, other = ids[statuses.index(201)], ids[statuses.index(422)]
        assert [follow(id).status_code for id in (followed, other, 10**9)] == [200, 422, 404]
        assert client.delete(f"/user/follow/{followed}").status_code == 204
        assert [follow(id).status_code for id in (other, followed)] == [201, 422]
    assert_counters_are_true(database)


def test_everybody_does_everything(sign_up):
    """Follows in both directions, likes, replies and deletions of the same things."""
    users = [sign_up(f"user{n}") for n in range(4)]
    posts = [user.write() for user in users]

    def live(user: Client) -> None:
        for round_ in range(2):
            for other, post in zip(users, posts, strict=True):
                if other is not user:
                    user.follow(other)
                user.like(post)
                user.repost(post)
                reply = user.write("reply", post["id"])
                if round_ % 2:
                    assert user.delete(f"/user/follow/{other.id}").status_code == 204
                    assert user.delete(f"/post/{post['id']}/like/").status_code == 204
                    assert user.delete(f"/post/{post['id']}/repost/").status_code == 204
                    assert user.delete(f"/post/{reply['id']}/").status_code == 204

    at_once(*[lambda user=user: live(user) for user in users])
    assert_counters_are_true()


def test_everybody_blocks_and_mutes_everybody_meanwhile(sign_up):
    users = [sign_up(f"user{n}") for n in range(4)]
    posts = [user.write() for user in users]

    def live(user: Client) -> set[int]:
        statuses = []
        for round_ in range(3):
            for other, post in zip(users, posts, strict=True):
                if other is user:
                    continue
                statuses += [
                    user.post(path, json=body).status_code
                    for path, body in (
                        (f"/user/follow/{other.id}", None),
                        (f"/post/{post['id']}/like/", None),
                        (f"/post/{post['id']}/repost/", None),
                        ("/post/", {"text": f"@{other.username}", "parent_id": post["id"]}),
                        (f"/user/mute/{other.id}", None),
                        (f"/user/block/{other.id}", None),
                    )
                ]
                if round_ < 2:
                    for noun in ("mute", "block"):
                        assert user.delete(f"/user/{noun}/{other.id}").status_code == 204
        return set(statuses)

    for statuses in at_once(*[lambda user=user: live(user) for user in users]):
        assert statuses <= {200, 201, 403}
    assert query("SELECT count(*) FROM block") == query("SELECT count(*) FROM mute") == [(12,)]
    # Everybody blocks everybody in the end.
    assert query("SELECT * FROM social") == query("SELECT * FROM notification") == []
    assert_counters_are_true()


def test_more_clients_than_connections(sign_up):
    from pamps.config import settings

    ana = sign_up("ana")
    # Statements that the event loop waits for, and sessions that keep a connection between threads.
    read, write = (
        lambda: ana.get("/user/timeline"),
        lambda: ana.patch("/user/me/", json={"bio": "x"}),
    )
    responses = at_once(*[read, write] * (settings.db.pool_size * 3))
    assert {response.status_code for response in responses} == {200}


def test_accounts_that_follow_each_other_go_at_once(sign_up):
    pairs = [(sign_up(f"a{n}"), sign_up(f"b{n}")) for n in range(5)]
    for one, other in pairs:
        one.follow(other)
        other.follow(one)
        for author, reader in ((one, other), (other, one)):
            post = author.write()
            reader.like(post)
            reader.write("reply", post["id"])
        left = at_once(*[lambda user=user: user.delete("/user/me/") for user in (one, other)])
        assert [response.status_code for response in left] == [204, 204]


def test_an_account_goes_while_it_is_still_used(sign_up):
    for n in range(5):
        ana, bia = sign_up(f"ana{n}"), sign_up(f"bia{n}")
        post = bia.write()
        ana.like(post)
        ana.follow(bia)
        path = f"/post/{post['id']}/like/"
        responses = at_once(
            lambda ana=ana: ana.delete("/user/me/"),
            lambda ana=ana, path=path: ana.delete(path),
            lambda ana=ana, bia=bia: ana.delete(f"/user/follow/{bia.id}"),
            lambda ana=ana: ana.patch("/user/me/", json={"bio": "x"}),
            lambda ana=ana: ana.post("/post/", json={"text": "x"}),
        )
        assert responses[0].status_code == 204
        assert {response.status_code for response in responses[1:]} <= {200, 201, 204, 401, 404}
        assert_counters_are_true()


def test_an_account_goes_while_others_look_at_it(sign_up):
    users = [sign_up(f"user{n}") for n in range(5)]
    goner, *others = users
    post, theirs = goner.write(), others[0].write()

    def look(user: Client) -> set[int]:
        calls = []
        for _ in range(5):
            calls.append(user.post(f"/user/follow/{goner.id}"))
            calls.append(user.post(f"/post/{post['id']}/like/"))
            calls.append(user.post("/post/", json={"text": "x", "parent_id": post["id"]}))
        return {response.status_code for response in calls}

    def act() -> set[int]:
        return {goner.post(f"/post/{theirs['id']}/like/").status_code for _ in range(5)}

    leave = lambda: goner.delete("/user/me/").status_code  # noqa: E731
    *statuses, acted, left = at_once(*[lambda u=u: look(u) for u in others], act, leave)
    assert left == 204
    assert set().union(*statuses) <= {200, 201, 404}
    assert acted <= {200, 201, 401}
    assert_counters_are_true()

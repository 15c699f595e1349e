"""Counters that are wrong, as after a change of the database by hand."""

from tests.databases import assert_counters_are_true, execute, here, query
from tests.helpers import Client, at_once, command

WRONG = (
    'UPDATE "user" SET post_count = 0, follower_count = 0, following_count = 0',
    "UPDATE post SET like_count = 0, reply_count = 0, repost_count = 0",
)
RIGHT = "All counters are right: nothing was changed.\n"


def befriend(ana: Client, bia: Client) -> tuple[dict, dict]:
    """Makes each counter of one of them 1 or more; gives a post and a reply to it, both by ana."""
    post = ana.write()
    reply = ana.write("reply", post["id"])
    ana.follow(bia)
    bia.follow(ana)
    bia.like(post)
    bia.repost(post)
    return post, reply


def test_a_counter_that_is_too_small_stops_at_0(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    post, reply = befriend(ana, bia)
    execute(here(), *WRONG)
    for client, path in (
        (bia, f"/post/{post['id']}/like/"),
        (bia, f"/post/{post['id']}/repost/"),
        (ana, f"/user/follow/{bia.id}"),
        (ana, f"/post/{reply['id']}/"),
        (ana, f"/post/{post['id']}/"),
    ):
        assert client.delete(path).status_code == 204, path
    post, reply = befriend(ana, bia)
    bia.write("reply", post["id"])
    execute(here(), *WRONG)
    assert bia.delete("/user/me/").status_code == 204
    counters = 'SELECT post_count, follower_count, following_count FROM "user" WHERE NOT deleted'
    assert query(counters) == [(0, 0, 0)]
    command("recount")
    assert_counters_are_true()


def test_recount(sign_up):
    ana, bia = sign_up("ana"), sign_up("bia")
    post, _ = befriend(ana, bia)
    assert command("recount") == RIGHT
    execute(
        here(),
        'UPDATE "user" SET follower_count = 7',
        f'UPDATE "user" SET post_count = 3 WHERE id = {ana.id}',
        "UPDATE inbox SET unread_count = 9",
        "UPDATE post SET like_count = 0, reply_count = 5, repost_count = 3"
        f" WHERE id = {post['id']}",
    )
    assert command("recount").splitlines() == [
        "user.post_count: corrected in 1 row",
        "user.follower_count: corrected in 2 rows",
        "post.like_count: corrected in 1 row",
        "post.repost_count: corrected in 1 row",
        "post.reply_count: corrected in 1 row",
        "inbox.unread_count: corrected in 2 rows",
    ]
    assert_counters_are_true()
    assert command("recount") == RIGHT


def test_recount_of_more_rows_than_a_batch_has():
    command("fake-data", "--users", "250", "--posts", "500")
    execute(here(), *WRONG)
    assert "post.reply_count" in command("recount")
    assert_counters_are_true()


def test_recount_while_everybody_writes(sign_up):
    from sqlmodel import Session

    from pamps.db import engine
    from pamps.maintenance.recount import recount

    users = [sign_up(f"user{n}") for n in range(4)]
    posts = [user.write() for user in users]
    execute(here(), *WRONG)

    def live(user: Client) -> None:
        for _ in range(4):
            for other, post in zip(users, posts, strict=True):
                if other is not user:
                    user.follow(other)
                    assert user.delete(f"/user/follow/{other.id}").status_code == 204
                    user.follow(other)
                user.like(post)
                assert user.delete(f"/post/{post['id']}/like/").status_code == 204
                user.like(post)
                user.write("reply", post["id"])

    def count_again() -> None:
        with Session(engine) as session:
            for _ in range(8):
                recount(session)

    at_once(*[lambda user=user: live(user) for user in users], count_again)
    command("recount")
    assert_counters_are_true()
    assert command("recount") == RIGHT


def test_posts_that_were_stored_by_sql_come_into_timelines(sign_up):
    """As by a session in `pamps shell`."""
    ana, bia, caio = sign_up("ana"), sign_up("bia"), sign_up("caio")
    bia.follow(ana)
    caio.write()
    execute(
        here(),
        f"INSERT INTO post (text, user_id) VALUES ('hello', {ana.id})",
        f"INSERT INTO repost (user_id, post_id) SELECT {ana.id}, id FROM post",
    )
    assert bia.get("/user/timeline").json() == []
    assert "entry: corrected in 3 rows" in command("recount")
    entries = bia.get("/user/timeline").json()
    assert [entry["reposted_by"] is None for entry in entries] == [False, False, True]
    assert command("recount") == RIGHT

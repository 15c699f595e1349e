"""The data of `pamps fake-data`."""

from typer.testing import CliRunner

from tests.databases import assert_counters_are_true, query
from tests.helpers import command, sign_in

DUMP = """
SELECT u.id - (SELECT min(id) FROM "user"), regexp_replace(username, '\\d+$', ''), bio, post_count,
    follower_count, following_count FROM "user" AS u ORDER BY 1
"""


POSTS = """
SELECT id - first, text, date, user_id - (SELECT min(id) FROM "user"), parent_id - first,
    like_count, reply_count FROM post, (SELECT min(id) AS first FROM post) AS x ORDER BY 1
"""


def test_fake_data(api_client):
    printed = command("fake-data", "--users", "100", "--posts", "1000", "--seed", "7")
    assert "added 100 users and 1000 posts; each user's password is pamps" in printed
    assert "100%" in printed
    assert_counters_are_true()
    users, posts = query(DUMP), query(POSTS)
    assert (len(users), len(posts)) == (100, 1000)
    replies = [post for post in posts if post[4] is not None]
    assert 200 < len(replies) < 400
    assert all(reply[4] < reply[0] for reply in replies)
    followers = sorted(user[4] for user in users)
    assert followers[-1] > 5 * max(followers[50], 1)
    name = api_client.get("/user/").json()[0]["username"]
    assert sign_in(api_client, name, "pamps")


def test_the_same_seed_gives_the_same_data():
    from pamps.cli import main
    from pamps.db import engine
    from pamps.models import SQLModel

    dumps = []
    for seed in ("7", "7", "8"):
        command = ["fake-data", "--users", "20", "--posts", "50", "--seed", seed]
        assert CliRunner().invoke(main, command).exit_code == 0
        dumps.append((query(DUMP), query(POSTS)))
        with engine.begin() as connection:
            for table in reversed(SQLModel.metadata.sorted_tables):
                connection.execute(table.delete())
    assert dumps[0] == dumps[1] != dumps[2]

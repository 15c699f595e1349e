"""The data of `pamps fake-data`."""

from collections import Counter

from pamps.entities import find_entities
from tests.databases import assert_counters_are_true, execute, here, query
from tests.helpers import command, sign_in

# Who has done what to whom; a reply is a post, and told of as such.
ACTS = """
WITH act (kind, from_id, to_id, post_id, date) AS (
    SELECT 'follow', from_id, to_id, NULL, date FROM social
    UNION ALL SELECT 'like', l.user_id, p.user_id, p.id, l.date
    FROM "like" AS l JOIN post AS p ON p.id = post_id
    UNION ALL SELECT 'repost', r.user_id, p.user_id, p.id, r.date
    FROM repost AS r JOIN post AS p ON p.id = post_id
    UNION ALL SELECT 'reply', r.user_id, p.user_id, r.id, r.date
    FROM post AS r JOIN post AS p ON p.id = r.parent_id
    UNION ALL SELECT 'mention', m.user_id, to_id, m.id, m.date
    FROM post AS m CROSS JOIN unnest(mention_ids) AS to_id LEFT JOIN post AS p ON p.id = m.parent_id
    WHERE p.user_id IS DISTINCT FROM to_id
)
"""
NOTIFIED = f"""
{ACTS} SELECT to_id, kind, from_id, post_id, date FROM act WHERE from_id <> to_id
    AND (to_id, from_id) NOT IN (SELECT from_id, to_id FROM mute)
"""
BETWEEN_BLOCKED = f"""
{ACTS} SELECT * FROM act JOIN block AS b
    ON (b.from_id, b.to_id) IN ((act.from_id, act.to_id), (act.to_id, act.from_id))
"""
UNREAD = """
SELECT user_id, unread_count, (SELECT count(*) FROM notification AS n
    WHERE n.user_id = inbox.user_id AND n.id > read_id) FROM inbox
"""
# Ids that are not in the order of the dates.
DISORDER = """
SELECT * FROM (SELECT id, date < lag(date) OVER (ORDER BY id) AS is_older FROM {}) AS x
WHERE is_older
"""
TIMELINE = "(SELECT id, date FROM post UNION ALL SELECT id, date FROM repost) AS entry"
ENTRIES = """
SELECT user_id, id, id, user_id FROM post UNION ALL SELECT r.user_id, r.id, post_id, p.user_id
FROM repost AS r JOIN post AS p ON p.id = post_id ORDER BY 1, 2
"""
TEXTS = """
SELECT p.id, text, coalesce(tags, '{}'), array(SELECT username FROM unnest(mention_ids)
    WITH ORDINALITY AS m (id, n) JOIN "user" AS u ON u.id = m.id ORDER BY n) FROM post AS p
"""


def load(seed: int) -> str:
    return command("fake-data", "--users", "100", "--posts", "1000", "--seed", seed)


def test_fake_data(api_client):
    printed = load(7)
    assert "added 100 users and 1000 posts; each user's password is pamps" in printed
    assert "100%" in printed
    assert_counters_are_true()
    assert query('SELECT count(*) FROM "user"') == [(100,)]
    (counts,) = query("SELECT count(*), count(parent_id), count(edited_at) FROM post")
    assert counts[0] == 1000
    assert 200 < counts[1] < 400
    assert query("SELECT id FROM post WHERE parent_id >= id") == []
    assert sorted(query("SELECT user_id, id, post_id, author_id FROM entry")) == query(ENTRIES)
    name = api_client.get("/user/").json()[0]["username"]
    assert sign_in(api_client, name, "pamps")


def test_few_are_popular():
    load(7)
    for column in ("to_id FROM social", "tag FROM tag", "post_id FROM repost"):
        counts = Counter(value for (value,) in query(f"SELECT {column}"))
        (_, most), *_, (_, median) = counts.most_common(len(counts) // 2)
        assert most > 5 * median, column


def test_texts_name_the_mentioned_and_the_hashtags():
    load(7)
    tags = Counter(query("SELECT post_id, tag FROM tag"))
    texts = query(TEXTS)
    assert any(tags for *_, tags, _ in texts)
    assert any(names for *_, names in texts)
    for id, text, *stored in texts:
        found = find_entities(text)
        assert [found.tags, found.usernames] == stored
        tags.subtract((id, tag) for tag in found.tags)
    assert not any(tags.values())


def test_in_portuguese_only():
    command("fake-data", "--users", "30", "--posts", "300", "--seed", "1", "--lang", "pt-BR")
    texts = [text for (text,) in query("SELECT text FROM post WHERE mention_ids IS NULL")]
    assert all(text.startswith(("A ", "O ")) for text in texts)
    tags = {tag for (tag,) in query("SELECT tag FROM tag")}
    assert {"bomdia", "alemanha"} <= tags


def test_notifications_are_those_of_the_api():
    load(7)
    assert query(BETWEEN_BLOCKED) == []
    told = query("SELECT user_id, kind, from_id, post_id, date FROM notification")
    assert len(told) > 1000
    assert sorted(told, key=repr) == sorted(query(NOTIFIED), key=repr)
    unread = query(UNREAD)
    assert any(count for _, count, _ in unread)
    assert all(count == truth for _, count, truth in unread)
    assert {user_id for user_id, *_ in unread} == {user_id for user_id, *_ in told}


def test_ids_are_in_the_order_of_the_dates():
    load(7)
    tables = ("social", '"like"', "bookmark", "block", "mute", "notification")
    for table in (TIMELINE, *tables):
        assert query(DISORDER.format(table)) == [], table
    before = "SELECT * FROM {} AS x JOIN post ON post.id = post_id WHERE x.date < post.date"
    for table in ("repost", '"like"', "bookmark", "tag"):
        assert query(before.format(table)) == [], table


def test_the_same_seed_gives_the_same_data():
    from pamps.db import engine
    from pamps.models import SQLModel

    tables = SQLModel.metadata.sorted_tables
    dumps = []
    for seed in (7, 7, 8):
        execute(here(), "SELECT setval(format('%I', sequencename), 1000000) FROM pg_sequences")
        load(seed)
        with engine.begin() as connection:
            dumps.append([sorted(connection.execute(table.select()), key=repr) for table in tables])
            for table in reversed(tables):
                connection.execute(table.delete())
    assert dumps[0] == dumps[1] != dumps[2]

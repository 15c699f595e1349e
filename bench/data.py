"""The data set: made by SQL, at any size, and with the same shape at each.

For every ten posts there is one user, and that user follows fifty: few are followed by many and
write much. Three posts in ten are replies, every thousandth post has thirty of them, and every
fourth user likes twenty posts. A few accounts are made to measure with: see `READERS` and `STAR`.
"""

from contextlib import closing

import psycopg2

from pamps.maintenance.fake import PASSWORD_HASH

# How many the users reader_50, reader_500 and reader_5000 follow, if there are so many.
READERS = (50, 500, 5000)
# How many follow the user with the id 1, if there are so many.
STAR = 100_000
# Users with these ids write and like while it is measured.
WRITERS = range(501, 551)

SOCIAL = """
INSERT INTO social (from_id, to_id, id, date)
SELECT from_id, to_id, row_number() OVER (), now() FROM (
    SELECT from_id, low + floor(random() * (high - low))::bigint AS to_id
    FROM generate_series(1, {users}) from_id, LATERAL (
        -- Fifty strips of users, the first ones small: whoever is there is followed by many.
        SELECT 1 + floor({users} * power(strip / 50.0, 2))::bigint AS low,
               1 + floor({users} * power((strip + 1) / 50.0, 2))::bigint AS high
        FROM generate_series(0, 49) strip
    ) strips
    WHERE high > low AND from_id > {readers}
) pairs WHERE from_id <> to_id
"""

# Readers follow whom others follow too, and everybody follows the star.
FOLLOWED = """
INSERT INTO social (from_id, to_id, id, date)
SELECT {reader}, to_id, {first_id} + row_number() OVER (), now() FROM (
    SELECT DISTINCT {readers} + 1 + floor(({users} - {readers}) * power(random(), 2))::bigint to_id
    FROM generate_series(1, {count} * 4)
) chosen LIMIT least({count}, {users} / 2)
"""
STARS_FOLLOWERS = """
INSERT INTO social (from_id, to_id, id, date)
SELECT from_id, 1, {first_id} + row_number() OVER (), now()
FROM generate_series({readers} + 2, least({users}, {readers} + 1 + {star})) from_id
WHERE from_id NOT IN (SELECT from_id FROM followed_star)
"""

LIKE = """
INSERT INTO "like" (user_id, post_id, id, date)
SELECT user_id, low + floor(random() * (high - low))::bigint, row_number() OVER (), now()
FROM generate_series(4, {users}, 4) user_id, LATERAL (
    SELECT 1 + floor({posts} * power(strip / 20.0, 2))::bigint AS low,
           1 + floor({posts} * power((strip + 1) / 20.0, 2))::bigint AS high
    FROM generate_series(0, 19) strip
) strips
"""

POSTS = """
CREATE UNLOGGED TABLE written AS
SELECT id, 1 + floor({users} * power(random(), 2))::bigint AS user_id,
    CASE WHEN id % 1000 BETWEEN 1 AND 30 THEN nullif(id - id % 1000, 0)
         WHEN random() < 0.27 THEN nullif(greatest(0, id - 1 + floor(ln(random()) * 500)), 0)
    END::bigint AS parent_id
FROM generate_series(1, {posts}) id
"""

USER = """
INSERT INTO "user" (id, username, email, avatar, bio, password,
                    post_count, follower_count, following_count)
SELECT id, CASE id {reader_names} ELSE 'user_' || id END, 'user_' || id || '@example.com',
    'https://example.com/' || id || '.png', 'Writes about many things, most of them true.',
    '{password}', coalesce(posts, 0), coalesce(followers, 0), coalesce(following, 0)
FROM generate_series(1, {users}) id
LEFT JOIN (SELECT user_id, count(*) posts FROM written GROUP BY 1) a ON a.user_id = id
LEFT JOIN (SELECT to_id, count(*) followers FROM social GROUP BY 1) b ON b.to_id = id
LEFT JOIN (SELECT from_id, count(*) following FROM social GROUP BY 1) c ON c.from_id = id
"""

POST = """
INSERT INTO post (id, text, date, user_id, parent_id, like_count, reply_count)
SELECT id, 'The post with the number ' || id || ' says what there is to say.',
    timestamptz '2026-01-01 00:00:00.123456Z' - ({posts} - id) * interval '1 second',
    user_id, parent_id,
    coalesce(likes, 0), coalesce(replies, 0)
FROM written
LEFT JOIN (SELECT post_id, count(*) likes FROM "like" GROUP BY 1) a ON a.post_id = id
LEFT JOIN (SELECT parent_id of, count(*) replies FROM written GROUP BY 1) b ON b.of = id
ORDER BY id
"""

# What is slow to keep up row by row: it is made again once all rows are there.
CONSTRAINTS = """
SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I CASCADE', conrelid::regclass, conname),
       format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname,
              pg_get_constraintdef(oid))
FROM pg_constraint
WHERE conrelid = ANY(%s::regclass[]) AND contype IN ('f', 'p') ORDER BY contype = 'f'
"""
INDEXES = """
SELECT format('DROP INDEX %%I', indexname), indexdef FROM pg_indexes
WHERE format('%%I', tablename) = ANY(%s) AND indexname NOT LIKE 'pk_%%'
"""
TABLES = ['"user"', "post", "social", '"like"']


def make(address: str, posts: int) -> None:
    """Fills a migrated, empty database."""
    users, readers = posts // 10, len(READERS) + 1
    names = " ".join(f"WHEN {n + 2} THEN 'reader_{count}'" for n, count in enumerate(READERS))
    values = {"posts": posts, "users": users, "readers": readers, "reader_names": names}
    with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
        cursor.execute("SET work_mem = '256MB'; SET maintenance_work_mem = '1GB'; SET jit = off")
        cursor.execute("SELECT setseed(0.5)")
        cursor.execute(CONSTRAINTS, [[*TABLES, "session"]])
        undone = cursor.fetchall()
        cursor.execute(INDEXES, [TABLES])
        undone += cursor.fetchall()
        # Rows of a table that was truncated in the same transaction need no log.
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")
        for drop, _ in reversed(undone):
            cursor.execute(drop)
        cursor.execute(SOCIAL.format(**values))
        first_id = users * 60
        for reader, count in enumerate(READERS, 2):
            more = {"reader": reader, "count": count, "first_id": first_id}
            cursor.execute(FOLLOWED.format(**values, **more))
            first_id += count
        star = "CREATE UNLOGGED TABLE followed_star AS SELECT from_id FROM social WHERE to_id = 1"
        cursor.execute(star)
        cursor.execute(STARS_FOLLOWERS.format(**values, star=STAR, first_id=first_id))
        cursor.execute(LIKE.format(**values))
        cursor.execute(POSTS.format(**values))
        cursor.execute(USER.format(**values, password=PASSWORD_HASH))
        cursor.execute(POST.format(**values))
        cursor.execute("DROP TABLE written, followed_star")
        for _, create in undone:
            cursor.execute(create)
        for table in TABLES:
            last = f"SELECT setval(pg_get_serial_sequence(%s, 'id'), max(id)) FROM {table}"
            cursor.execute(last, [table])
        connection.commit()
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")

"""The rows of the data set: statements of `bench/data.py`, and the words in texts."""

FUNCTIONS = """
CREATE FUNCTION pg_temp.post_id(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
$$ SELECT n + (n - 1) / 10 $$;
CREATE FUNCTION pg_temp.name(id bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
SELECT CASE id {reader_names} ELSE CASE WHEN id = 1 OR id BETWEEN 501 AND 550 THEN 'user'
    ELSE ('{{{first_names}}}'::text[])[1 + id % 40] || '_'
        || ('{{{last_names}}}'::text[])[1 + id / 40 % 40] END || '_' || id END
$$;
CREATE FUNCTION pg_temp.word() RETURNS text LANGUAGE sql AS
$$ SELECT ('{{{words}}}'::text[])[1 + floor(power(random(), 2) * {word_count})::int] $$;
CREATE FUNCTION pg_temp.somebody(beyond bigint) RETURNS bigint LANGUAGE sql AS
$$ SELECT beyond + 1 + floor(({users} - beyond) * power(random(), 2))::bigint $$;
CREATE FUNCTION pg_temp.date_of(id bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
$$ SELECT '{now}'::timestamptz - ({posts} * 11 / 10 - id) * interval '1 second' $$;
"""
FIRST_NAMES = (
    "ana bia carla davi edu fabio gabi helena igor joana kaio lara maria nina otto paula quim"
    " rita sara tiago ursula vera wagner xavier yara zeca alice bruno caio dora emma felipe"
    " gil hugo ines jose karl leo mila noah"
)
LAST_NAMES = (
    "silva souza costa lima alves rocha dias melo nunes pinto ramos teles viana xavier abreu"
    " barros castro duarte esteves farias gomes jardim lopes matos neves oliveira pereira"
    " queiroz reis santos torres vargas braga campos freitas godoy leal moura prado serra"
)
WORDS = (
    "time year people way day man thing woman life child world school state family student"
    " group country problem hand part place case week company system program question work"
    " government night point home water room mother area money story fact month lot right"
    " study book eye job word business issue side kind head house service friend father power"
    " hour game line end member law car city community name president team minute idea kid"
    " body information back parent face others level office door health person art war history"
    " party result change morning reason research girl guy moment air teacher force education"
    " foot boy age policy music market sense plan college interest death experience effect use"
    " class control care field development role effort rate heart drug show leader light voice"
    " wife police mind price report decision son view relationship town road arm difference"
    " value building action season society tax director position player record paper space"
    " ground form event official matter center couple site project activity table court oil"
    " situation cost industry figure street image phone data picture practice piece land"
    " product doctor wall patient worker news test movie north love"
)
# Words that are searched for: `apple` and `river` are in a tenth of all posts each, never together.
MARKERS = """
CASE WHEN n % 50 = 3 THEN 'a green apple tree' WHEN n % 50 = 13 THEN 'a tree with a green apple'
     WHEN n % 10 = 3 THEN 'an apple' WHEN n % 10 = 7 THEN 'the river' END,
CASE WHEN n % greatest({posts} / 10000, 100) = 9 THEN 'walnut' END,
CASE WHEN n % ({posts} / 100) = 1 THEN 'cedar' END,
CASE WHEN n = {posts} / 2 THEN 'unique' END
"""

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
    SELECT DISTINCT pg_temp.somebody({readers}) AS to_id FROM generate_series(1, {count} * 4)
) chosen LIMIT least({count}, {users} / 2)
"""
FOLLOWED_BY_BLOCKER = """
INSERT INTO social (from_id, to_id, id, date)
SELECT {reader}, to_id, {first_id} + row_number() OVER (), date FROM social WHERE from_id = {copied}
"""
STARS_FOLLOWERS = """
INSERT INTO social (from_id, to_id, id, date)
SELECT from_id, 1, {first_id} + row_number() OVER (), now()
FROM generate_series({readers} + 2, least({users}, {readers} + 1 + {star})) from_id
WHERE from_id NOT IN (SELECT from_id FROM followed_star)
"""

# Every fourth user likes twenty posts, and every tenth bookmarks thirty.
OF_POSTS = """
INSERT INTO {table} (user_id, post_id, id, date)
SELECT user_id, pg_temp.post_id(low + floor(random() * (high - low))::bigint),
    row_number() OVER (), now()
FROM generate_series({first}, {users}, {step}) user_id, LATERAL (
    SELECT 1 + floor({posts} * power(strip / {count}.0, 2))::bigint AS low,
           1 + floor({posts} * power((strip + 1) / {count}.0, 2))::bigint AS high
    FROM generate_series(0, {count} - 1) strip
) strips
"""
REPOST = """
INSERT INTO repost (user_id, post_id, id, date)
SELECT user_id, post_id, id, pg_temp.date_of(id) FROM (
    SELECT DISTINCT ON (user_id, post_id) user_id, post_id, id FROM (
        SELECT n * 11 / 10 AS id, pg_temp.somebody({readers}) AS user_id, pg_temp.post_id(
            CASE WHEN n > 1000 AND n % 1000 BETWEEN 1 AND 300 THEN n - n % 1000
                 ELSE greatest(1, n + floor(ln(1 - random()) * 500)::bigint) END) AS post_id
        FROM generate_series(10, {posts}, 10) n
    ) AS chosen
) AS unique_pairs ORDER BY id
"""

# A post and its number; the ids of the posts leave out those of the reposts.
POSTS = """
CREATE UNLOGGED TABLE written AS
SELECT n, pg_temp.somebody(0) AS user_id,
    CASE WHEN n % 1000 BETWEEN 1 AND 30 THEN nullif(n - n % 1000, 0)
         WHEN random() < 0.27 THEN nullif(greatest(0, n - 1 + floor(ln(1 - random()) * 500)), 0)
    END::bigint AS parent,
    CASE WHEN n % 15 = 0 THEN ARRAY[mentioned, mentioned + 1]
         WHEN n % 5 = 0 THEN ARRAY[mentioned] END AS mention_ids
FROM (
    SELECT n, pg_temp.somebody({readers} + 1) - 1 AS mentioned FROM generate_series(1, {posts}) n
) AS numbered
"""
TAGGED = """
CREATE UNLOGGED TABLE tagged AS
SELECT n, array_agg(tag) AS tags FROM (
    SELECT (7919 * k + 31 * (k % 7)) % (10 * k) + step AS n, 'tag_' || k AS tag
    FROM generate_series(1, 50) k, generate_series(0, {posts} - 1, 10 * k) step
    UNION ALL SELECT n, 'only_' || n FROM generate_series(50, {posts}, 100) n
) AS rows WHERE n BETWEEN 1 AND {posts} GROUP BY n
"""

USER = """
INSERT INTO "user" (id, username, email, avatar, bio, password,
                    post_count, follower_count, following_count)
SELECT id, pg_temp.name(id), 'user_' || id || '@example.com',
    'https://example.com/' || id || '.png', 'Writes about many things, most of them true.',
    '{password}', coalesce(posts, 0), coalesce(followers, 0), coalesce(following, 0)
FROM generate_series(1, {users}) id
LEFT JOIN (SELECT user_id, count(*) posts FROM written GROUP BY 1) a ON a.user_id = id
LEFT JOIN (SELECT to_id, count(*) followers FROM social GROUP BY 1) b ON b.to_id = id
LEFT JOIN (SELECT from_id, count(*) following FROM social GROUP BY 1) c ON c.from_id = id
"""
POST = """
INSERT INTO post (id, text, date, user_id, parent_id, mention_ids, tags,
                  like_count, reply_count, repost_count)
SELECT id, concat_ws(' ',
        (SELECT string_agg('@' || pg_temp.name(m), ' ') FROM unnest(mention_ids) m),
        'Post', n, 'is about', pg_temp.word(), pg_temp.word(), 'and', pg_temp.word(), {markers},
        (SELECT string_agg('#' || tag, ' ') FROM unnest(tags) tag)),
    pg_temp.date_of(id), user_id, pg_temp.post_id(parent), mention_ids, tags,
    coalesce(likes, 0), coalesce(replies, 0), coalesce(reposts, 0)
FROM (SELECT *, pg_temp.post_id(n) AS id FROM written) AS numbered
LEFT JOIN tagged USING (n)
LEFT JOIN (SELECT post_id, count(*) likes FROM "like" GROUP BY 1) a ON a.post_id = id
LEFT JOIN (SELECT parent of, count(*) replies FROM written GROUP BY 1) b ON b.of = n
LEFT JOIN (SELECT post_id, count(*) reposts FROM repost GROUP BY 1) c ON c.post_id = id
ORDER BY id
"""
ENTRY = """
INSERT INTO entry (user_id, id, post_id, author_id)
SELECT user_id, id, id, user_id FROM post
UNION ALL SELECT r.user_id, r.id, r.post_id, p.user_id FROM repost r JOIN post p ON p.id = r.post_id
ORDER BY 2
"""
TAG = """
INSERT INTO tag (tag, post_id, user_id, date)
SELECT unnest(tags), id, user_id, date FROM post WHERE tags IS NOT NULL
"""

# Every tenth user has five blocks, and another tenth five mutes.
HIDDEN = """
INSERT INTO {table} (from_id, to_id, id, date)
SELECT from_id, to_id, row_number() OVER (), now() FROM (
    SELECT DISTINCT from_id, pg_temp.somebody({last_writer}) AS to_id
    FROM generate_series({first}, {users}, 10) from_id, generate_series(1, 5)
) AS pairs WHERE from_id <> to_id
"""
BLOCKS_OF_BLOCKER = """
INSERT INTO block (from_id, to_id, id, date)
SELECT CASE WHEN n % 2 = 0 THEN {reader} ELSE id END, CASE WHEN n % 2 = 0 THEN id ELSE {reader} END,
    {users} * 5 + n, now()
FROM (
    SELECT id, row_number() OVER () AS n FROM generate_series({last_writer} + 1, {users}) id
    WHERE id NOT IN (SELECT to_id FROM social WHERE from_id = {copied})
) AS strangers WHERE n <= 100
"""

# Every fourth user has 25 notifications, none of them next to each other.
NOTIFICATION = """
INSERT INTO notification (id, user_id, kind, from_id, post_id, date)
SELECT id, user_id, kind, from_id,
    CASE WHEN kind <> 'follow' THEN pg_temp.post_id(1 + floor({posts} * random())::bigint) END,
    '{now}'::timestamptz - (1 - id / sum(1.0) OVER ()) * interval '60 days'
FROM (
    SELECT row_number() OVER (ORDER BY position) AS id, user_id,
        (ARRAY['follow', 'reply', 'mention', 'repost'])[floor(random() * 10)::int] AS rare,
        pg_temp.somebody({last_writer}) AS from_id
    FROM (
        SELECT user_id, random() AS position
        FROM generate_series(6, {users}, 4) user_id, generate_series(1, 25)
        UNION ALL SELECT {first_writer}, random() FROM generate_series(1, {posts} / 100)
    ) AS told
) AS numbered, LATERAL (SELECT coalesce(rare, 'like') AS kind) AS kinds
WHERE user_id <> from_id
"""
INBOX = """
INSERT INTO inbox (user_id, unread_count, read_id)
SELECT user_id, 5, (array_agg(id ORDER BY id DESC))[6] FROM notification GROUP BY user_id
"""

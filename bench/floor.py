"""The floor: what FastAPI and psycopg2 cost when nothing is checked and nothing is nice.

The same answers as Pamps, on the same database, from SQL that is written out by hand for each
route, without models, validation, error handling or a log. No service; something to divide by.
"""

import base64
import hashlib
import hmac
import os
import secrets
import time
from contextlib import contextmanager

import orjson
from anyio import to_thread
from argon2 import PasswordHasher
from fastapi import FastAPI, Request, Response
from psycopg2.pool import ThreadedConnectionPool

SECRET = os.environ["PAMPS_SECURITY__SECRET_KEY"].encode()
THREADS = int(os.environ["FLOOR_THREADS"])

app = FastAPI(openapi_url=None)
pool = ThreadedConnectionPool(THREADS, THREADS, os.environ["FLOOR_DATABASE"])


@app.on_event("startup")
async def limit_threads():
    to_thread.current_default_thread_limiter().total_tokens = THREADS


@contextmanager
def database():
    connection = pool.getconn()
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        pool.putconn(connection)


def answer(content, status=200):
    return Response(
        orjson.dumps(content, option=orjson.OPT_UTC_Z), status, media_type="application/json"
    )


POST = """SELECT p.id, p.text, p.date, p.user_id, p.parent_id, p.edited_at, p.like_count,
p.reply_count, u.id, u.username, u.avatar, p.repost_count, p.tags, CASE WHEN p.mention_ids IS NOT
NULL THEN (SELECT json_agg(json_build_object('id', m.id, 'username', m.username) ORDER BY
array_position(p.mention_ids, m.id)) FROM "user" m WHERE m.id = ANY(p.mention_ids)) END, {done}
FROM post p JOIN "user" u ON u.id = p.user_id """
ANONYMOUS = POST.format(done="NULL, NULL, NULL")
DONE = ", ".join(
    f"(SELECT true FROM {table} d WHERE d.user_id = %(me)s AND d.post_id = p.id) IS NOT NULL"
    for table in ('"like"', "repost", "bookmark")
)
REPOSTED_BY = """, CASE WHEN e.id <> e.post_id THEN (SELECT json_build_object('id', r.id,
'username', r.username, 'avatar', r.avatar) FROM "user" r WHERE r.id = e.user_id) END"""


def post(row):
    return {
        "id": row[0], "text": row[1], "date": row[2], "user_id": row[3], "parent_id": row[4],
        "edited_at": row[5], "user": {"id": row[8], "username": row[9], "avatar": row[10]},
        "like_count": row[6], "reply_count": row[7], "repost_count": row[11],
        "tags": row[12] or [], "mentions": row[13] or [],
        "liked": row[14], "reposted": row[15], "bookmarked": row[16],
    }  # fmt: skip


def user(row):
    return {"id": row[0], "username": row[1], "avatar": row[2], "bio": row[3]}


STRANGER = dict.fromkeys(("followed", "follows_you", "blocked", "muted"))


def decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def caller(request, cursor):
    signed, _, signature = request.headers["authorization"][7:].rpartition(".")
    if hmac.digest(SECRET, signed.encode(), hashlib.sha256) != decode(signature):
        raise ValueError
    claims = orjson.loads(decode(signed.partition(".")[2]))
    if claims["exp"] < time.time():
        raise ValueError
    cursor.execute(
        'SELECT u.id, u.username, u.avatar FROM session s JOIN "user" u ON u.id = s.user_id'
        " WHERE s.sid = %s AND u.id = %s AND s.expires > now() AND NOT u.disabled",
        (claims["sid"], claims["sub"]),
    )
    return cursor.fetchone()


@app.get("/post/")
def home(cursor: int = 2**62):
    with database() as db:
        db.execute(
            ANONYMOUS + "WHERE p.parent_id IS NULL AND p.id < %s ORDER BY p.id DESC LIMIT 20",
            (cursor,),
        )
        return answer([post(row) for row in db.fetchall()])


@app.get("/post/{post_id}/")
def one(post_id: int):
    with database() as db:
        db.execute(
            f"(SELECT a.* FROM ({ANONYMOUS}) a WHERE a.id = %s) UNION ALL (SELECT b.* FROM "
            f"({ANONYMOUS} WHERE p.parent_id = %s ORDER BY p.id LIMIT 20) b)".replace(
                "u.id, u.", "u.id AS author, u."
            ),
            (post_id, post_id),
        )
        first, *replies = [post(row) for row in db.fetchall()]
        return answer({**first, "replies": replies})


@app.get("/user/timeline")
def timeline(request: Request):
    with database() as db:
        me = caller(request, db)[0]
        db.execute(
            POST.format(done=DONE + REPOSTED_BY)
            + "JOIN (SELECT n.* FROM social s, LATERAL (SELECT id, user_id, post_id FROM entry"
            " WHERE user_id = s.to_id AND author_id <> %(me)s ORDER BY id DESC LIMIT 20) n"
            " WHERE s.from_id = %(me)s ORDER BY n.id DESC LIMIT 20) e ON e.post_id = p.id"
            " ORDER BY e.id DESC",
            {"me": me},
        )
        return answer([post(row) | {"reposted_by": row[17]} for row in db.fetchall()])


@app.get("/user/{username}/")
def profile(username: str):
    with database() as db:
        db.execute(
            "SELECT id, username, avatar, bio, post_count, follower_count, following_count"
            ' FROM "user" WHERE lower(username) = lower(%s)',
            (username,),
        )
        row = db.fetchone()
        counts = {"post_count": row[4], "follower_count": row[5], "following_count": row[6]}
        return answer(user(row) | counts | STRANGER)


@app.get("/user/{username}/followers/")
def followers(username: str):
    with database() as db:
        db.execute(
            'SELECT u.id, u.username, u.avatar, u.bio FROM social s JOIN "user" u ON u.id ='
            ' s.from_id WHERE s.to_id = (SELECT id FROM "user" WHERE lower(username) ='
            " lower(%s)) ORDER BY s.id DESC LIMIT 20",
            (username,),
        )
        return answer([user(row) for row in db.fetchall()])


@app.get("/post/user/{username}/")
def posts_of(username: str):
    with database() as db:
        db.execute(
            ANONYMOUS + "WHERE p.parent_id IS NULL AND p.user_id = (SELECT id FROM"
            ' "user" WHERE lower(username) = lower(%s)) ORDER BY p.id LIMIT 20',
            (username,),
        )
        return answer([post(row) for row in db.fetchall()])


@app.get("/post/likes/{username}/")
def liked(username: str):
    with database() as db:
        db.execute(
            ANONYMOUS + 'JOIN "like" l ON l.post_id = p.id WHERE l.user_id = (SELECT id FROM'
            ' "user" WHERE lower(username) = lower(%s)) ORDER BY l.id DESC LIMIT 20',
            (username,),
        )
        return answer([post(row) for row in db.fetchall()])


@app.post("/post/")
async def create(request: Request):
    body = orjson.loads(await request.body())

    def store():
        with database() as db:
            me = caller(request, db)
            db.execute(
                'WITH author AS (UPDATE "user" SET post_count = post_count + 1 WHERE id = %s),'
                " stored AS (INSERT INTO post (text, user_id) VALUES (%s, %s) RETURNING *), entries"
                " AS (INSERT INTO entry SELECT user_id, id, id, user_id FROM stored) SELECT id,"
                " text, date, user_id, parent_id, edited_at, like_count, reply_count FROM stored",
                (me[0], body["text"], me[0]),
            )
            return answer(post((*db.fetchone(), *me, 0, [], [], False, False, False)), 201)

    return await to_thread.run_sync(store)


@app.post("/post/{post_id}/like/")
def like(post_id: int, request: Request):
    with database() as db:
        me = caller(request, db)[0]
        db.execute(
            'WITH added AS (INSERT INTO "like" (user_id, post_id) VALUES (%s, %s) ON CONFLICT'
            " (user_id, post_id) DO NOTHING RETURNING user_id, post_id, date), counted AS (UPDATE"
            " post SET like_count = like_count + 1 WHERE id = (SELECT post_id FROM added))"
            " SELECT * FROM added",
            (me, post_id),
        )
        row = db.fetchone()
        if row is None:
            db.execute(
                'SELECT user_id, post_id, date FROM "like" WHERE user_id = %s AND post_id = %s',
                (me, post_id),
            )
            row = db.fetchone()
        return answer(dict(zip(("user_id", "post_id", "date"), row, strict=True)), 201)


def encode(part):
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def token(**claims):
    signed = encode(b'{"alg":"HS256","typ":"JWT"}') + b"." + encode(orjson.dumps(claims))
    return (signed + b"." + encode(hmac.digest(SECRET, signed, hashlib.sha256))).decode()


@app.post("/token")
async def sign_in(request: Request):
    form = await request.form()

    def check():
        with database() as db:
            db.execute(
                'SELECT id, password FROM "user" WHERE lower(username) = lower(%s)',
                (form["username"],),
            )
            me, stored = db.fetchone()
            PasswordHasher().verify(stored, form["password"])
            jti, now = secrets.token_urlsafe(16), int(time.time())
            db.execute(
                "INSERT INTO session (sid, user_id, token_hash, user_agent, expires) VALUES"
                " (%s, %s, %s, '', now() + interval '600 minutes')",
                (sid := secrets.randbits(63), me, hashlib.sha256(jti.encode()).digest()),
            )
            claims = {"sub": str(me), "sid": sid}
            access = token(**claims, scope="access_token", exp=now + 1800, fresh=True)
            refresh = token(**claims, scope="refresh_token", exp=now + 36000, jti=jti)
            return answer(
                {
                    "access_token": access,
                    "refresh_token": refresh,
                    "token_type": "bearer",
                    "expires_in": 1800,
                }
            )

    return await to_thread.run_sync(check)

"""How long likes take when all are of one post, and when they are of many.

    python -m bench.likes [--rate 200] [--seconds 10] [--turns 3]

Serves Pamps as in production, with two workers, on a PostgreSQL of its own. Each like is of another
user, and is sent when its time has come, whether those before it have been answered or not.
"""

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from jose import jwt
from sqlalchemy import URL

from bench import servers
from pamps.maintenance.fake import PASSWORD_HASH
from tests.databases import assert_counters_are_true, execute

MANY = 200
DATA = (
    """
    INSERT INTO "user" (id, username, email, password) OVERRIDING SYSTEM VALUE
    SELECT n, 'user_' || n, 'user_' || n || '@example.com', '{hash}'
    FROM generate_series(1, {users}) n
    """,
    """
    INSERT INTO session (sid, user_id, token_hash, user_agent, expires)
    SELECT id, id, '', '', now() + interval '1 day' FROM "user"
    """,
    """
    INSERT INTO post (text, user_id)
    SELECT 'x', 1 + n % {many} FROM generate_series(1, {posts}) n
    """,
    'UPDATE "user" SET post_count = (SELECT count(*) FROM post WHERE user_id = "user".id)',
    "VACUUM ANALYZE",
)


class Client:
    """Sends likes over as many connections as are needed at once."""

    def __init__(self, url: str, tokens: list[str]) -> None:
        self.host, self.port = urlsplit(url).hostname, urlsplit(url).port
        self.tokens = tokens
        self.free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.times: list[float] = []
        self.statuses: dict[str, int] = {}

    async def like(self, token: str, post_id: int, at: float) -> None:
        await asyncio.sleep(at - time.perf_counter())
        if not self.free:
            self.free.append(await asyncio.open_connection(self.host, self.port))
        reader, writer = self.free.pop()
        request = f"POST /post/{post_id}/like/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
        writer.write(f"{request}Authorization: Bearer {token}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.partition("content-length: ")[2].split("\r\n")[0]))
        self.times.append((time.perf_counter() - at) * 1000)
        self.free.append((reader, writer))
        status = head.split()[1]
        self.statuses[status] = self.statuses.get(status, 0) + 1

    async def likes(self, title: str, posts: list[int], rate: int) -> float:
        """Sends all likes; returns p99."""
        self.times, self.statuses = [], {}
        start = time.perf_counter() + 0.1
        likes = [
            self.like(token, posts[number % len(posts)], start + number / rate)
            for number, token in enumerate(self.tokens)
        ]
        await asyncio.gather(*likes)
        times = sorted(self.times)
        p99 = times[int(len(times) * 0.99)]
        figures = f"median {statistics.median(times):.1f} ms, p99 {p99:.1f}, max {times[-1]:.1f}"
        print(f"{title}: {figures}; answers {self.statuses}", flush=True)
        return p99


def access_token(user_id: int) -> str:
    claims = {"sub": str(user_id), "sid": user_id, "scope": "access_token"}
    return jwt.encode(claims | {"exp": time.time() + 3600}, servers.SECRET, "HS256")


def deadlocks(address: URL) -> int:
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    return execute(address, query)[0][0]


async def measure(url: str, tokens: list[str], options: argparse.Namespace) -> None:
    client = Client(url, tokens)
    await client.likes("to warm up", list(range(1, MANY + 1)), options.rate)
    spread, one = [], []
    for turn in range(1, options.turns + 1):
        many = list(range(turn * 2 * MANY + 1, turn * 2 * MANY + MANY + 1))
        spread.append(await client.likes(f"{MANY} posts", many, options.rate))
        one.append(await client.likes("one post", [many[-1] + 1], options.rate))
    ratio = statistics.median(one) / statistics.median(spread)
    print(f"p99 of one post ÷ p99 of {MANY} posts, medians of the turns: {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=200, help="likes a second")
    parser.add_argument("--seconds", type=int, default=10, help="of each turn")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    likers = range(MANY + 1, MANY + options.rate * options.seconds + 1)
    tokens = [access_token(user) for user in likers]
    values = {"users": likers[-1], "many": MANY, "hash": PASSWORD_HASH}
    values["posts"] = 2 * MANY * (options.turns + 2)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server, _ = stack.enter_context(servers.postgresql(folder / "postgresql"))
        address = server.set(database="likes")
        execute(server, "CREATE DATABASE likes")
        servers.migrate(address)
        execute(address, *(statement.format(**values) for statement in DATA))
        url, _ = stack.enter_context(servers.pamps(address, folder / "log", workers=2))
        asyncio.run(measure(url, tokens, options))
        print(f"{deadlocks(address)} deadlocks")
        assert_counters_are_true(address)


if __name__ == "__main__":
    main()

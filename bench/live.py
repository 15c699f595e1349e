"""What streams of events cost, and how soon events arrive.

    python -m bench.live [--streams 2000] [--seconds 20] [--turns 3]

Serves Pamps as in production on a PostgreSQL of its own. First one worker with many streams: the
memory of each; then AUTHORS users post once a second each, and each stream gets the posts of one of
them: how long after it was sent a post arrives, the CPU of the worker, and how long other requests
take, compared with a quiet server. Then two workers and WRITERS clients that post as fast as they
can, with and without streams that follow them.
"""

import argparse
import asyncio
import contextlib
import resource
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import URL

from bench import servers
from bench.likes import access_token
from bench.measure import cpu_seconds, family
from pamps.maintenance.fake import PASSWORD_HASH
from tests.databases import execute

AUTHORS, WRITERS = 50, 16
# Other requests, each at its time, and how many a second.
OTHER, OTHERS_A_SECOND = ("/post/", "/user/timeline"), 20
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
    INSERT INTO social (from_id, to_id)
    SELECT id, 1 + id % {authors} FROM "user" WHERE id > {authors}
    """,
    """
    UPDATE "user" SET follower_count = (SELECT count(*) FROM social WHERE to_id = "user".id),
        following_count = (SELECT count(*) FROM social WHERE from_id = "user".id)
    """,
    "VACUUM ANALYZE",
)
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def pss_kilobytes(pid: str) -> int:
    """The memory of a process, what it shares with others divided among them."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def worker(pid: int) -> str:
    """The process that serves the streams that are open: that with the most connections."""
    return max(family(pid), key=lambda member: len(list(Path(f"/proc/{member}/fd").iterdir())))


def percentile(times: list[float], percent: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * percent / 100))]


class Client:
    """Opens streams, and sends requests over as many connections as are needed at once."""

    def __init__(self, url: str) -> None:
        self.host, self.port = urlsplit(url).hostname, urlsplit(url).port
        self.free: list[Connection] = []

    async def connect(self) -> Connection:
        return await asyncio.open_connection(self.host, self.port, limit=4096)

    async def request(self, user_id: int, line: str, body: bytes = b"") -> None:
        """Sends a request as a user, and waits for its response, which succeeds."""
        reader, writer = self.free.pop() if self.free else await self.connect()
        head = f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        head += f"Content-Type: application/json\r\nAuthorization: Bearer {access_token(user_id)}"
        writer.write(f"{head}\r\n\r\n".encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert answer.split()[1] in ("200", "201"), answer
        await reader.readexactly(int(answer.partition("content-length: ")[2].split("\r\n")[0]))
        self.free.append((reader, writer))

    async def post(self, user_id: int) -> None:
        """Posts a text that says when it was sent."""
        body = b'{"text": "at %.6f s"}' % time.perf_counter()
        await self.request(user_id, "POST /post/", body)

    @contextlib.asynccontextmanager
    async def streams(self, user_ids: range) -> AsyncIterator[list[float]]:
        """Open streams; yields a list that gets how long each post took to arrive, in ms."""
        arrived: list[float] = []
        opened: list[Connection] = []

        async def open_stream(user_id: int) -> None:
            reader, writer = await self.connect()
            token = access_token(user_id)
            line = f"GET /live/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
            writer.write(line.encode())
            await reader.readuntil(b"event: open")
            opened.append((reader, writer))

        async def read(reader: asyncio.StreamReader) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError):
                while event := await reader.readuntil(b"\n\n"):
                    if b'"text":"at ' in event:
                        sent = float(event.partition(b'"text":"at ')[2].split()[0])
                        arrived.append((time.perf_counter() - sent) * 1000)

        for start in range(user_ids.start, user_ids.stop, 50):
            some = range(start, min(start + 50, user_ids.stop))
            await asyncio.gather(*map(open_stream, some))
        readers = [asyncio.create_task(read(reader)) for reader, _ in opened]
        try:
            yield arrived
        finally:
            for task in readers:
                task.cancel()
            for _, writer in opened:
                writer.close()
            await asyncio.gather(*readers, return_exceptions=True)


async def at_rate(send: Callable[[int], asyncio.Future], rate: int, seconds: float) -> list[float]:
    """Sends so many a second, each at its time; returns how long each took, in ms."""
    start = time.perf_counter() + 0.1

    async def one(number: int) -> float:
        at = start + number / rate
        await asyncio.sleep(at - time.perf_counter())
        await send(number)
        return (time.perf_counter() - at) * 1000

    return await asyncio.gather(*map(one, range(int(rate * seconds))))


async def many_streams(url: str, pid: int, options: argparse.Namespace) -> None:
    client = Client(url)
    readers = range(AUTHORS + 1, AUTHORS + options.streams + 1)

    def other(number: int) -> asyncio.Future:
        line = f"GET {OTHER[number % len(OTHER)]}"
        return asyncio.ensure_future(client.request(readers[number % len(readers)], line))

    def post(number: int) -> asyncio.Future:
        return asyncio.ensure_future(client.post(1 + number % AUTHORS))

    async with client.streams(readers[:200]):
        await at_rate(post, AUTHORS, 3)
        await at_rate(other, 5 * OTHERS_A_SECOND, 3)
        own = worker(pid)
    await asyncio.sleep(1)
    quiet = await at_rate(other, OTHERS_A_SECOND, options.seconds)
    before = pss_kilobytes(own)
    async with client.streams(readers) as arrived:
        await asyncio.sleep(2)
        memory = (pss_kilobytes(own) - before) / len(readers)
        print(f"{len(readers)} streams: {memory:.1f} KB each", flush=True)
        idle = cpu_seconds(int(own))
        await asyncio.sleep(5)
        idle = (cpu_seconds(int(own)) - idle) / 5
        used, started = cpu_seconds(int(own)), time.perf_counter()
        busy, _ = await asyncio.gather(
            at_rate(other, OTHERS_A_SECOND, options.seconds),
            at_rate(post, AUTHORS, options.seconds),
        )
        used = (cpu_seconds(int(own)) - used) / (time.perf_counter() - started)
        await asyncio.sleep(2)
        after = (pss_kilobytes(own) - before) / len(readers)
        expected = AUTHORS * options.seconds * len(readers) // AUTHORS
        print(f"{len(arrived)} of {expected} posts arrived, after a median of", end=" ")
        print(
            f"{statistics.median(arrived):.0f} ms, p99 {percentile(arrived, 99):.0f} ms,", end=" "
        )
        print(f"max {max(arrived):.0f} ms; {after:.1f} KB a stream after it")
        print(f"CPU of the worker: {used:.0%} of a core, {idle:.0%} without posts")
        p99 = percentile(quiet, 99), percentile(busy, 99)
        print(f"p99 of other requests: {p99[1]:.1f} ms, quiet {p99[0]:.1f} ms", flush=True)


async def writers(url: str, pid: int, options: argparse.Namespace) -> None:
    client = Client(url)

    async def throughput() -> tuple[float, float]:
        """Posts a second, and the CPU of all workers for each, in milliseconds."""
        end, count = time.perf_counter() + options.seconds / 2, 0

        async def write(user_id: int) -> None:
            nonlocal count
            while time.perf_counter() < end:
                await client.post(user_id)
                count += 1

        used = cpu_seconds(pid)
        await asyncio.gather(*map(write, range(1, WRITERS + 1)))
        return count / (options.seconds / 2), (cpu_seconds(pid) - used) / count * 1000

    readers = range(AUTHORS + 1, AUTHORS + 1 + AUTHORS)
    ratios = []
    await throughput()
    for _ in range(options.turns):
        alone, cpu = await throughput()
        async with client.streams(readers):
            together, cpu_together = await throughput()
        ratios.append(together / alone)
        print(f"{WRITERS} writers: {alone:.0f} posts a second, {cpu:.2f} ms of CPU each;", end=" ")
        print(f"with {len(readers)} streams {together:.0f}, {cpu_together:.2f} ms", flush=True)
    print(f"with ÷ without streams, median of the turns: {statistics.median(ratios):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=20, help="of each phase")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    values = {"users": AUTHORS + options.streams, "authors": AUTHORS, "hash": PASSWORD_HASH}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server, _ = stack.enter_context(servers.postgresql(folder / "postgresql"))
        address: URL = server.set(database="live")
        execute(server, "CREATE DATABASE live")
        servers.migrate(address)
        execute(address, *(statement.format(**values) for statement in DATA))
        with servers.pamps(address, folder / "log") as (url, pid):
            time.sleep(5)  # until the worker serves
            asyncio.run(many_streams(url, pid, options))
        with servers.pamps(address, folder / "log", workers=2) as (url, pid):
            time.sleep(5)
            asyncio.run(writers(url, pid, options))


if __name__ == "__main__":
    main()

"""What the deletion of a famous account, of an empty one and of a famous post costs others.

    python -m bench.deletion [--posts 1000000] [--famous 300000] [--quiet 20]

Serves Pamps as in production on a PostgreSQL of its own, with an account that has so many
followers, gave and got as many likes, and wrote 10,000 posts. Followers of it write, like and read:
first for some seconds with nothing else, then while the account is deleted, until none of its rows
is left.
"""

import argparse
import contextlib
import statistics
import tempfile
import threading
import time
from pathlib import Path

import httpx
from sqlalchemy import URL

from bench import servers
from pamps.maintenance.fake import PASSWORD_HASH
from tests.databases import execute

STAR, EMPTY, WRITERS = 1, 2, range(3, 7)
OF_THE_STAR = 10_000
# Between two requests of a client, which else would measure how busy the machine is.
PAUSE_SECONDS = 0.02

DATA = (
    "SET statement_timeout = 0",
    "SET session_replication_role = replica",
    """
    INSERT INTO "user" (id, username, email, password) OVERRIDING SYSTEM VALUE
    SELECT n, 'user_' || n, 'user_' || n || '@example.com', '{hash}'
    FROM generate_series(1, {famous} + 10) n
    """,
    """
    INSERT INTO post (text, user_id, parent_id)
    SELECT 'The post ' || n, 3 + n % {famous}, CASE WHEN n > 100 AND n % 5 = 0 THEN n - 99 END
    FROM generate_series(1, {posts}) n
    """,
    """
    INSERT INTO post (text, user_id)
    SELECT 'Of the star', {star} FROM generate_series(1, {wrote})
    """,
    "INSERT INTO social (from_id, to_id) SELECT 2 + n, {star} FROM generate_series(1, {famous}) n",
    """
    INSERT INTO "like" (user_id, post_id) SELECT {star}, n FROM generate_series(1, {famous}) n
    UNION ALL
    SELECT 3 + n % {famous}, {posts} + 1 + n / ({famous} / {wrote})
    FROM generate_series(0, {famous} - 1) n
    UNION ALL
    SELECT 2 + n, {famous} + 1 FROM generate_series(1, {famous}) n
    """,
    """
    UPDATE post SET like_count = n FROM
        (SELECT post_id, count(*) n FROM "like" GROUP BY 1) likes WHERE id = post_id
    """,
    """
    UPDATE post SET reply_count = n FROM
        (SELECT parent_id of, count(*) n FROM post GROUP BY 1) replies WHERE id = of
    """,
    """
    UPDATE "user" SET post_count = n FROM
        (SELECT user_id, count(*) n FROM post GROUP BY 1) posts WHERE id = user_id
    """,
    'UPDATE "user" SET following_count = 1 WHERE id > 2 AND id <= {famous} + 2',
    'UPDATE "user" SET follower_count = {famous} WHERE id = {star}',
    "SELECT setval(pg_get_serial_sequence('\"user\"', 'id'), {famous} + 10)",
    "VACUUM ANALYZE",
)


class Client:
    """Somebody who is signed in, and how long each of their requests took, in milliseconds."""

    def __init__(self, url: str, user_id: int) -> None:
        token = servers.sign_in(url, f"user_{user_id}")
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=60)
        self.posts: list[float] = []
        self.others: list[float] = []
        self.failed = 0

    def ask(self, times: list[float], method: str, path: str, **more: object) -> httpx.Response:
        started = time.perf_counter()
        answer = self.http.request(method, path, **more)
        times.append((time.perf_counter() - started) * 1000)
        self.failed += answer.status_code >= 500
        return answer

    def live(self, stop: threading.Event) -> None:
        while not stop.wait(PAUSE_SECONDS):
            post = self.ask(self.posts, "POST", "/post/", json={"text": "hello"}).json()
            self.ask(self.others, "POST", f"/post/{post['id']}/like/")
            for path in ("/user/timeline", "/post/", f"/post/{post['id']}/"):
                self.ask(self.others, "GET", path)


@contextlib.contextmanager
def living(clients: list[Client], title: str):
    stop = threading.Event()
    threads = [threading.Thread(target=client.live, args=[stop]) for client in clients]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join()
    for name in ("posts", "others"):
        times = sorted(time for client in clients for time in getattr(client, name))
        p99 = times[int(len(times) * 0.99)]
        print(
            f"{title}, {name}: median {statistics.median(times):.1f} ms, p99 {p99:.1f},"
            f" max {times[-1]:.1f}, of {len(times)}",
            flush=True,
        )
        for client in clients:
            getattr(client, name).clear()
    print(f"{title}: {sum(client.failed for client in clients)} answers of 5xx", flush=True)


def wait_until_gone(address: URL) -> None:
    while execute(address, 'SELECT id FROM "user" WHERE deleted'):
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--famous", type=int, default=300_000, help="followers, and likes")
    parser.add_argument("--quiet", type=int, default=20, help="seconds without a deletion")
    options = parser.parse_args()
    values = {"posts": options.posts, "famous": options.famous, "star": STAR}
    values |= {"wrote": OF_THE_STAR, "hash": PASSWORD_HASH}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server, _ = stack.enter_context(servers.postgresql(folder / "postgresql"))
        address = server.set(database="deletion")
        execute(server, "CREATE DATABASE deletion")
        servers.migrate(address)
        started = time.monotonic()
        execute(address, *(statement.format(**values) for statement in DATA))
        print(f"{options.posts} posts, made in {time.monotonic() - started:.0f} s", flush=True)
        url, _ = stack.enter_context(servers.pamps(address, folder / "log", workers=2))
        clients = [Client(url, user_id) for user_id in WRITERS]
        star, empty = Client(url, STAR), Client(url, EMPTY)

        with living(clients, "quiet"):
            time.sleep(options.quiet)
        took: list[float] = []
        assert empty.ask(took, "DELETE", "/user/me/").status_code == 204
        print(f"an empty account: {took[-1]:.1f} ms, ", end="")
        started = time.monotonic()
        wait_until_gone(address)
        print(f"no row left after {time.monotonic() - started:.1f} s more")

        with living(clients, "beside the deletion"):
            assert star.ask(took, "DELETE", "/user/me/").status_code == 204
            started = time.monotonic()
            wait_until_gone(address)
            gone = time.monotonic() - started
        print(f"the famous account: {took[-1]:.1f} ms, no row left after {gone:.0f} s", flush=True)

        (author,) = execute(address, f"SELECT user_id FROM post WHERE id = {options.famous + 1}")
        writer = Client(url, *author)
        with living(clients, "beside that of a post"):
            answer = writer.ask(took, "DELETE", f"/post/{options.famous + 1}/")
            assert answer.status_code == 204
            started = time.monotonic()
            wait_until_gone(address)
            gone = time.monotonic() - started
        print(f"the famous post: {took[-1]:.1f} ms, no row left after {gone:.0f} s")


if __name__ == "__main__":
    main()

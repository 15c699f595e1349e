"""How long others wait while many sign in at once.

    python -m bench.hashing [--sign-ins 600] [--seconds 10] [--workers 1]

Serves Pamps with its defaults on a database of its own. One client refreshes its tokens all the
time: first while nothing else is asked for, then beside so many clients that all sign in at the
same moment, and wait as long as a 503 tells them before they try again, until they are signed in.
Printed are the times of the refreshes, and what the sign-ins were answered. `--bcrypt` gives the
accounts the hash of a workshop database first, which takes ten times as long to verify.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import multiprocessing
import time
from typing import Any

from passlib.hash import bcrypt
from sqlalchemy import make_url

from tests.databases import embedded_server, execute, migrated_database
from tests.servers import served

FORM = "application/x-www-form-urlencoded"
# Between two refreshes, so that the client itself is no load.
PAUSE_SECONDS = 0.005


class Connection:
    """A connection that costs hardly anything beside what is measured."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def __aenter__(self) -> "Connection":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def post(self, path: str, kind: str, body: str) -> tuple[int, dict[str, str], bytes]:
        head = f"POST {path} HTTP/1.1\r\nHost: pamps\r\nContent-Type: {kind}\r\n"
        self.writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        content = await self.reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), headers, content


async def sign_in(port: int, number: int, end: float, seen: collections.Counter[int]) -> None:
    """Tries until it succeeds, or the time is up."""
    async with Connection(port) as connection:
        while time.monotonic() < end:
            body = f"username=user{number % 20}&password=right"
            status, headers, _ = await connection.post("/token", FORM, body)
            seen[status] += 1
            if status == 200:
                return
            await asyncio.sleep(int(headers.get("retry-after", 1)))


async def all_sign_in(port: int, number: int, seconds: float) -> collections.Counter[int]:
    seen: collections.Counter[int] = collections.Counter()
    end = time.monotonic() + seconds
    await asyncio.gather(*(sign_in(port, n, end, seen) for n in range(number)))
    return seen


def crowd(port: int, number: int, seconds: float, results: Any) -> None:
    results.put(dict(asyncio.run(all_sign_in(port, number, seconds))))


async def refresh(port: int, token: str, go_on: Any) -> tuple[str, list[float], int]:
    """Refreshes while it should; gives the last token, the times, and how many were refused."""
    times, refused = [], 0
    async with Connection(port) as connection:
        while go_on():
            body = json.dumps({"refresh_token": token})
            started = time.perf_counter()
            status, _, content = await connection.post("/refresh_token", "application/json", body)
            times.append((time.perf_counter() - started) * 1000)
            if status == 200:
                token = json.loads(content)["refresh_token"]
            else:
                refused += 1
            await asyncio.sleep(PAUSE_SECONDS)
    return token, times, refused


def told(name: str, times: list[float], refused: int) -> str:
    times = sorted(times)
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    figures = f"median {p50:.1f} ms, p99 {p99:.1f} ms, longest {times[-1]:.1f} ms"
    return f"{name}: {len(times)} refreshes, {figures}, refused {refused}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sign-ins", type=int, default=600, help="at once")
    parser.add_argument("--seconds", type=float, default=10, help="of quiet, and of sign-ins")
    parser.add_argument("--workers", default="1")
    parser.add_argument("--bcrypt", action="store_true", help="accounts of a workshop database")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(migrated_database(stack.enter_context(embedded_server())))
        settings = {"PAMPS_DB__uri": database, "PAMPS_RATE_LIMIT__enabled": "false"}
        serving = served(settings, "--workers", options.workers)
        process, client = stack.enter_context(serving)
        for name in ("refresher", *(f"user{n}" for n in range(20))):
            account = {"username": name, "email": f"{name}@pamps.com", "password": "right"}
            client.post("/user/", json=account).raise_for_status()
        form = {"username": "refresher", "password": "right"}
        token = client.post("/token", data=form).json()["refresh_token"]
        if options.bcrypt:
            old = bcrypt.using(rounds=12).hash("right")
            execute(make_url(database), f"UPDATE \"user\" SET password = '{old}' RETURNING 1")
        port = client.base_url.port or 0

        end = time.monotonic() + options.seconds
        token, quiet, refused = asyncio.run(refresh(port, token, lambda: time.monotonic() < end))
        print(told("quiet", quiet, refused))
        # In a process of its own, so that its work is not taken for waiting.
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        arguments = port, options.sign_ins, options.seconds, results
        others = context.Process(target=crowd, args=arguments)
        others.start()
        _, loaded, refused = asyncio.run(refresh(port, token, results.empty))
        seen = results.get()
        others.join()
        print(told(f"beside {options.sign_ins} sign-ins at once", loaded, refused))
        print(f"sign-ins were answered {seen}")
        process.terminate()


if __name__ == "__main__":
    main()

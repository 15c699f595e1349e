"""What is measured, as processes: PostgreSQL, Pamps, the floor. All of them end with the run."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
from sqlalchemy import URL, make_url

from bench import data
from tests.databases import HOLD_SERVER, PAMPS, execute

SECRET = "a-key-that-signs-tokens-while-it-is-measured"
# What an operator would set for a database of this size, and statements that are counted.
POSTGRESQL = {
    "shared_preload_libraries": "'pg_stat_statements'",
    "shared_buffers": "'2GB'",
    "max_wal_size": "'4GB'",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "random_page_cost": "1.1",
}


@contextmanager
def _holding(folder: Path) -> Iterator[URL]:
    environment = os.environ | {"PAMPS_DB__embedded_dir": str(folder), "PAMPS_DB__uri": ""}
    command = [sys.executable, "-c", HOLD_SERVER]
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a signal to the whole group would not let it stop the server
    ) as holder:
        try:
            yield make_url(holder.stdout.readline().strip())
        finally:
            holder.stdin.close()


@contextmanager
def postgresql(folder: Path) -> Iterator[tuple[URL, int]]:
    """A server that keeps its data in `folder`: its address, and the id of its process."""
    if not (folder / "data").exists():
        with _holding(folder) as server:
            settings = [f"ALTER SYSTEM SET {name} = {is_}" for name, is_ in POSTGRESQL.items()]
            execute(server, *settings)
    with _holding(folder) as server:
        pid = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        execute(server, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        yield server, pid


def data_set(server: URL, posts: int) -> URL:
    """The database with so many posts, which is made if it is not there."""
    address = server.set(database=f"posts_{posts}")
    names = [name for (name,) in execute(server, "SELECT datname FROM pg_database")]
    unfinished = server.set(database=f"unfinished_{posts}")
    if address.database not in names:
        print(f"making {posts} posts …", flush=True)
        started = time.monotonic()
        execute(server, f"DROP DATABASE IF EXISTS {unfinished.database}")
        execute(server, f"CREATE DATABASE {unfinished.database}")
        migrate(unfinished)
        data.make(text(unfinished), posts)
        execute(server, f"ALTER DATABASE {unfinished.database} RENAME TO {address.database}")
        print(f"… in {time.monotonic() - started:.0f} s", flush=True)
    migrate(address)
    return address


def text(address: URL) -> str:
    return address.set(drivername="postgresql").render_as_string(hide_password=False)


def migrate(address: URL) -> None:
    environment = os.environ | {"PAMPS_DB__uri": text(address)}
    subprocess.run([PAMPS, "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _process(command: list[str], port: int, settings: dict[str, str], log: Path) -> Iterator[int]:
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            command, env=os.environ | settings, stdout=stderr, stderr=stderr
        ) as process,
    ):
        try:
            deadline = time.monotonic() + 30
            while process.poll() is None and time.monotonic() < deadline:
                with closing(socket.socket()) as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield process.pid
        finally:
            process.terminate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextmanager
def pamps(address: URL, log: Path, workers: int = 1, **settings: str) -> Iterator[tuple[str, int]]:
    """Pamps as in production, but for a limit that nobody reaches: its address and process."""
    port = free_port()
    environment = {
        "PAMPS_ENV": "production",
        "PAMPS_DB__uri": text(address),
        "PAMPS_SECURITY__SECRET_KEY": SECRET,
        "PAMPS_RATE_LIMIT__requests": "100000000/day",
    } | {f"PAMPS_{name}": value for name, value in settings.items()}
    command = [str(PAMPS), "serve", "--port", str(port), "--workers", str(workers)]
    with _process(command, port, environment, log) as pid:
        yield f"http://127.0.0.1:{port}", pid


@contextmanager
def floor(address: URL, log: Path, threads: int) -> Iterator[tuple[str, int]]:
    port = free_port()
    environment = {
        "FLOOR_DATABASE": text(address),
        "FLOOR_THREADS": str(threads),
        "PAMPS_SECURITY__SECRET_KEY": SECRET,
    }
    command = [sys.executable, "-m", "uvicorn", "bench.floor:app", "--port", str(port)]
    command += ["--no-access-log", "--log-level", "warning"]
    with _process(command, port, environment, log) as pid:
        yield f"http://127.0.0.1:{port}", pid


def sign_in(url: str, username: str) -> str:
    form = {"username": username, "password": "pamps"}
    response = httpx.post(f"{url}/token", data=form, timeout=30)
    response.raise_for_status()
    return response.json()["access_token"]

"""Databases for a test run: one is migrated, and every worker works on a copy of its own.

They are made on the server of PAMPS_DB__uri, whose own databases are left alone, or else on an
embedded PostgreSQL in a temporary folder.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import URL, make_url, text

from tests import canary

PAMPS = Path(sys.executable).with_name("pamps")
# The library of Debian's package libfaketime, which gives a process another clock.
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

HOLD_SERVER = """
import sys
from pamps.postgres import cluster, embedded
embedded.start()
print(f"postgresql://postgres@/pamps?host={cluster.SOCKET}", flush=True)
sys.stdin.read()
"""

# What a write of anybody waits for, if it is locked.
USERS = 'SELECT * FROM "user" ORDER BY id FOR UPDATE'
# Each counter, and next to it what it should be.
TRUTH = """
SELECT 'post ' || id, like_count, (SELECT count(*) FROM "like" WHERE post_id = post.id),
    reply_count, (SELECT count(*) FROM post AS reply WHERE reply.parent_id = post.id),
    repost_count, (SELECT count(*) FROM repost WHERE post_id = post.id)
FROM post
UNION ALL
SELECT 'user ' || id, post_count, (SELECT count(*) FROM post WHERE user_id = "user".id),
    follower_count, (SELECT count(*) FROM social WHERE to_id = "user".id),
    following_count, (SELECT count(*) FROM social WHERE from_id = "user".id)
FROM "user"
UNION ALL
SELECT 'inbox ' || user_id, unread_count, (SELECT count(*) FROM notification
        WHERE notification.user_id = inbox.user_id AND notification.id > read_id), 0, 0, 0, 0
FROM inbox
"""


def execute(server: URL, *statements: str) -> list[tuple]:
    """Runs statements without a transaction, and gives the rows of the last one."""
    dsn = server.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def disconnect(database: URL) -> None:
    """Ends all connections to it, as a server does that is started again."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ended = {pid for _, pid in execute(database, f"SELECT pg_terminate_backend(pid), pid {others}")}
    # Servers that run there have new ones at once.
    while ended & {pid for (pid,) in execute(database, f"SELECT pid {others}")}:
        pass


@contextlib.contextmanager
def locked(database: str, statement: str) -> Iterator[psycopg2.extensions.cursor]:
    """What the statement locks is locked, from a connection of its own."""
    dsn = make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)
    with contextlib.closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0")
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
        cursor.execute("SET deadlock_timeout = '10s'")
        cursor.execute(statement)
        yield cursor
        connection.commit()


def wait_for_deletions(database: URL) -> None:
    """Waits until nothing is left of deleted accounts."""
    deadline = time.monotonic() + 30
    while execute(database, 'SELECT id FROM "user" WHERE deleted'):
        assert time.monotonic() < deadline


def assert_counters_are_true(database: URL | None = None) -> None:
    from pamps.db import database_url

    database = database or database_url()
    wait_for_deletions(database)
    for name, *numbers in execute(database, TRUTH):
        assert numbers[::2] == numbers[1::2], name


def here() -> URL:
    from pamps.db import database_url

    return database_url()


def query(statement: str) -> list[tuple]:
    from pamps.db import engine

    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


@contextlib.contextmanager
def working_on(address: str) -> Iterator[str]:
    """Has Pamps in this process work on that database: its commands, and `TestClient(app)`.

    Not so clients of the fixture `server`, whose connections are open already.
    """
    import pamps.app  # noqa: F401  what reads settings when it is imported has read the real ones
    from pamps.config import settings
    from pamps.db import engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vars(settings.db), "uri", address)
        patch.setattr(engine, "url", make_url(address))
        engine.dispose()
        try:
            yield address
        finally:
            engine.dispose()


def tables(address: str) -> set[str]:
    """The names of a database's tables."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    return {name for (name,) in execute(make_url(address), query)}


@contextlib.contextmanager
def embedded_server() -> Iterator[str]:
    """A server for the run, whose data need not outlive it."""
    folder = tempfile.mkdtemp(prefix="pamps-test-")
    environment = os.environ | {"PAMPS_DB__embedded_dir": folder, "PAMPS_DB__uri": ""}
    command = [sys.executable, "-c", HOLD_SERVER]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        server = holder.stdout.readline().strip()
        execute(
            make_url(server),
            *(f"ALTER SYSTEM SET {setting} = off" for setting in ("fsync", "full_page_writes")),
            "SELECT pg_reload_conf()",
        )
        yield server
        holder.stdin.close()
    canary.assert_unseen(Path(folder, "data", "server.log").read_text())
    shutil.rmtree(folder)


@contextlib.contextmanager
def migrated_database(server: str) -> Iterator[str]:
    """A migrated database, its address."""
    template = make_url(server).set(database=f"pamps_test_{os.getpid()}")
    address = template.render_as_string(hide_password=False)
    execute(make_url(server), f"CREATE DATABASE {template.database}")
    try:
        environment = os.environ | {"PAMPS_DB__uri": address}
        subprocess.run([PAMPS, "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL)
        yield address
    finally:
        execute(make_url(server), f"DROP DATABASE {template.database} WITH (FORCE)")


@contextlib.contextmanager
def copied_database(server: str, template: str, name: str) -> Iterator[str]:
    """A copy of the migrated database, its address."""
    original = make_url(template)
    copy = original.set(database=f"{original.database}_{name}")
    execute(make_url(server), f"CREATE DATABASE {copy.database} TEMPLATE {original.database}")
    try:
        yield copy.render_as_string(hide_password=False)
    finally:
        execute(make_url(server), f"DROP DATABASE {copy.database} WITH (FORCE)")

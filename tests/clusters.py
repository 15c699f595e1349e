"""Processes that use a PostgreSQL that comes along, in a folder of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

CONNECT = """
import sys, psycopg2
from pamps.postgres import embedded
from pamps.postgres.arguments import location
embedded.start()
connection = psycopg2.connect(**location())
connection.autocommit = True
cursor = connection.cursor()
def show(*statements):
    for statement in statements:
        cursor.execute(statement)
    print(cursor.fetchone()[0], flush=True)
"""


# A process that uses the server until its standard input ends.
USE = CONNECT + "show('SELECT pg_postmaster_start_time()'); sys.stdin.read()"


# Writes a row and counts what was ever written.
WRITE = """show(
    "CREATE TABLE IF NOT EXISTS written (n int)", "INSERT INTO written VALUES (1)",
    "SELECT count(*) FROM written")
"""


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"PAMPS_DB__uri": "", "PAMPS_DB__embedded_dir": str(folder)}


@contextmanager
def user(folder: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """A process that uses the server, and when that server was started."""
    with subprocess.Popen(
        [sys.executable, "-c", USE],
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process, process.stdout.readline().strip()
        process.stdin.close()


def write(folder: Path, become: Sequence[str] = ()) -> int:
    command = [*become, sys.executable, "-c", CONNECT + WRITE]
    done = subprocess.run(command, env=environment(folder), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def start(folder: Path, **variables: str) -> subprocess.CompletedProcess:
    """Starts the server, for as long as it takes to say so."""
    script = """
import sys
from pamps.postgres import embedded
try:
    embedded.start()
except embedded.FolderError as error:
    sys.exit(str(error))
print("started")
"""
    return subprocess.run(
        [sys.executable, "-c", script],
        env=environment(folder) | variables,
        capture_output=True,
        text=True,
    )


def assert_refused(done: subprocess.CompletedProcess, *words: str) -> None:
    """In one line, with these words in it."""
    assert done.stderr.count("\n") == 1, done.stderr
    assert (done.returncode, done.stdout) == (1, "")
    for word in words:
        assert word in done.stderr


def processes(folder: Path) -> list[str]:
    """The processes that were started with that folder."""
    lines = [
        " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
    ]
    return [line for line in lines if str(folder) in line]

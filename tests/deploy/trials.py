"""What `deploy/try.sh` brings up and takes down."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import psutil
import psycopg2

from tests.deploy import DEPLOY

TRY = DEPLOY / "try.sh"


class Trial:
    """What is up in `folder`, and a client for it."""

    def __init__(self, folder: Path, client: httpx.Client) -> None:
        self.folder, self.client = folder, client

    def port(self, file: str, before: str) -> int:
        """A port that a file of the trial has after a text."""
        text = (self.folder / file).read_text()
        return int(re.findall(re.escape(before) + "([0-9]+)", text)[0])

    def query(self, database: str, query: str) -> list[tuple]:
        """The rows that a query of Pamps' role finds in the primary or the standby."""
        password = (self.folder / "secrets" / "pamps_password").read_text()
        port = self.port(f"run/{database}", " -p ")
        address = f"host=127.0.0.1 port={port} user=pamps dbname=pamps password={password}"
        with closing(psycopg2.connect(address)) as connection:
            cursor = connection.cursor()
            cursor.execute(query)
            return cursor.fetchall()


@contextmanager
def trial(*options: str) -> Iterator[Trial]:
    parent = Path(tempfile.mkdtemp())
    parent.chmod(0o755)  # PostgreSQL runs as another user there, if this one is root
    folder = parent / "up"
    # Its settings are in its own files.
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("PAMPS_")}
    environment["TRY_DIR"] = str(folder)
    command = [TRY, "up", *options]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().strip()
        assert address, process.wait()
        try:
            with httpx.Client(base_url=address, timeout=20) as client:
                yield Trial(folder, client)
        finally:
            pids = [int(file.read_text()) for file in (folder / "pid").iterdir()]
            subprocess.run([TRY, "down"], env=environment, check=True)
        assert process.wait(timeout=60) == 0
    assert len(pids) >= 7
    assert not any(map(psutil.pid_exists, pids))
    parent.rmdir()

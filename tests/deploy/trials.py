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
AS_OWNER = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


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

    def psql(self, database: str, statement: str) -> str:
        """What a superuser is answered, for what Pamps' role may not do."""
        port = self.port(f"run/{database}", " -p ")
        command = ["psql", "-XAtd", "pamps", "-h", self.folder / "run", "-p", str(port)]
        prefix = AS_OWNER if os.geteuid() == 0 else []
        done = subprocess.run(
            [*prefix, *command, "-c", statement], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def trial(*options: str, **settings: str) -> Iterator[Trial]:
    parent = Path(tempfile.mkdtemp())
    parent.chmod(0o755)  # PostgreSQL runs as another user there, if this one is root
    folder = parent / "up"
    # Its settings are in its own files.
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("PAMPS_")}
    environment |= settings | {"TRY_DIR": str(folder)}
    command = [TRY, "up", *options]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().strip()
        assert address, process.wait()
        try:
            with httpx.Client(base_url=address, timeout=20) as client:
                yield Trial(folder, client)
        finally:
            pids = [int(file.read_text()) for file in (folder / "pid").iterdir()]
            pids += [child.pid for child in psutil.Process(process.pid).children()]
            subprocess.run([TRY, "down"], env=environment, check=True)
        assert process.wait(timeout=60) == 0
    assert len(pids) >= 7
    assert not any(map(runs, pids))
    parent.rmdir()

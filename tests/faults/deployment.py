"""Production, as `deploy/try.sh` brings it up, whose parts can be killed and replaced."""

import contextlib
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg2

from bench.measure import family
from bench.servers import free_port
from tests.deploy import missing
from tests.deploy.trials import Trial, trial
from tests.faults.clients import Client
from tests.faults.replicas import reads_by_server
from tests.faults.scenarios import LeftOut, Stage
from tests.postgresql import end, wait_until

UNLIMITED = {"PAMPS_RATE_LIMIT__enabled": "false"}


class Production:
    """What is up, and its clients, who ask HAProxy."""

    def __init__(self, stage: Stage, up: Trial) -> None:
        self.stage, self.up, self.folder = stage, up, up.folder
        self.port: int = up.client.base_url.port
        self.metrics = {"api-1": free_port(), "api-2": free_port()}
        for name, port in self.metrics.items():
            self.replace(name, " PAMPS_ENV=", f" PAMPS_METRICS__port={port} PAMPS_ENV=")

    def pid(self, name: str) -> int:
        return int((self.folder / "pid" / name).read_text())

    def start(self, name: str) -> None:
        environment = os.environ | UNLIMITED
        process = subprocess.Popen(
            [self.folder / "run" / name], env=environment, start_new_session=True
        )
        (self.folder / "pid" / name).write_text(str(process.pid))

    def kill(self, *pids: int) -> None:
        """As when a machine is lost."""
        end(*(int(pid) for root in pids for pid in family(root)))

    def replace(self, name: str, old: str, new: str) -> None:
        """Stop an API process tidily, and start it by a changed script."""
        script = self.folder / "run" / name
        script.write_text(text := script.read_text().replace(old, new))
        process = psutil.Process(self.pid(name))
        process.terminate()
        process.wait(60)
        self.start(name)
        port = re.findall("--port ([0-9]+)", text)[0]
        ready = wait_until(lambda: _answers(f"http://127.0.0.1:{port}/health/ready"), 60, 0.1)
        self.stage.expect(ready, f"{name} is not ready")

    def migrate(self, lib: Path) -> None:
        """Directly on the primary, with the migrations of a release."""
        port = self.up.port("run/primary", " -p ")
        settings = {"PAMPS_DB__uri": f"postgresql://pamps@127.0.0.1:{port}/pamps"}
        settings |= {"PAMPS_ENV": "production", "PYTHONPATH": str(lib)}
        command = [sys.executable, "-m", "pamps", "migrate"]
        done = subprocess.run(command, cwd=self.folder / "etc", env=os.environ | settings)
        self.stage.expect(done.returncode == 0, "the migration failed")

    def connect(self, port: int, database: str) -> psycopg2.extensions.connection:
        """A connection of Pamps' role, to PostgreSQL or PgBouncer."""
        password = (self.folder / "secrets" / "pamps_password").read_text()
        address = f"host=127.0.0.1 port={port} user=pamps dbname={database} password={password}"
        connection = psycopg2.connect(address)
        connection.autocommit = True
        return connection

    def execute(self, port: int, database: str, statement: str) -> list[tuple]:
        with contextlib.closing(self.connect(port, database)) as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def posts(self, port: int) -> dict[str, int]:
        """How often each text is stored."""
        return dict(self.execute(port, "pamps", "SELECT text, count(*) FROM post GROUP BY text"))

    def users(self, count: int, name: str = "user") -> list[Client]:
        users = [Client(self.port, f"{name}{n}") for n in range(count)]
        for user in users:
            user.sign_up()
        return users

    def share(self, play: Callable[[], None]) -> float:
        """The part of the reads that the replica serves meanwhile."""
        ports = list(self.metrics.values())
        before = reads_by_server(ports)
        play()
        after = reads_by_server(ports)
        grown = {server: after[server] - before[server] for server in after}
        return grown["replica"] / max(1, sum(grown.values()))


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError):
        return bool(urllib.request.urlopen(url, timeout=2).status == 200)
    return False


@contextlib.contextmanager
def production(stage: Stage, *options: str) -> Iterator[Production]:
    if absent := missing(*(("patroni", "etcd") if options else ())):
        raise LeftOut(f"no {', '.join(absent)} here")
    with trial(*options, **UNLIMITED) as up:
        yield Production(stage, up)

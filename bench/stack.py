"""What a request costs each part of production, as `deploy/try.sh` brings it up.

    python -m bench.stack [--posts 100000] [--seconds 3]

Prints the CPU of HAProxy, Pamps, PgBouncer, Redis and both databases for a request; how much WAL a
write makes, and how fast the standby replays it.
"""

import argparse
import os
import re
import signal
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL

from bench import data, servers
from bench.measure import Figures, cpu_seconds, measure
from bench.report import table
from bench.routes import Route, routes
from tests.deploy.trials import AS_OWNER

TRY = Path(__file__).parents[1] / "deploy" / "try.sh"
PARTS = "haproxy", "api-1", "api-2", "pgbouncer", "redis", "primary", "standby"
ROUTES = "home", "timeline, following 50", "post with replies", "profile", "create post", "like"
CLIENTS = 16
UNLIMITED = {
    "PAMPS_RATE_LIMIT__requests": "100000000/day",
    "PAMPS_RATE_LIMIT__sign_ins_per_address": "100000000/day",
}


class Stack:
    """The running parts, in `folder`."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        secrets = tomllib.loads((folder / "etc" / ".secrets.toml").read_text())
        password = secrets["production"]["db"]["connect_args"]["password"]
        self.primary = URL.create(
            "postgresql", "pamps", password, "127.0.0.1", self._port("primary"), "pamps"
        )

    def _port(self, database: str) -> int:
        return int(re.findall(" -p ([0-9]+)", (self.folder / "run" / database).read_text())[0])

    def psql(self, database: str, statement: str) -> str:
        """Run a statement as a superuser, for what Pamps' role may not do."""
        command = ["psql", "-XAtd", "pamps", "-h", self.folder / "run", "-c", statement]
        command += ["-p", str(self._port(database))]
        prefix = AS_OWNER if os.geteuid() == 0 else []
        done = subprocess.run([*prefix, *command], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def cpu(self) -> dict[str, float]:
        pids = {part: int((self.folder / "pid" / part).read_text()) for part in PARTS}
        return {part: cpu_seconds(pid) for part, pid in pids.items()}

    def measure(self, route: Route, seconds: int) -> tuple[Figures, dict[str, float]]:
        """Return what wrk found, and the microseconds of each part for a request."""
        pid = int((self.folder / "pid" / "api-1").read_text())
        before = self.cpu()
        figures = measure(self.url, route.requests, CLIENTS, seconds, pid, pid)
        used = {part: after - before[part] for part, after in self.cpu().items()}
        assert figures.failed + figures.refused == 0, route.name
        return figures, {part: used[part] / figures.requests * 1e6 for part in PARTS}

    def replayed(self, position: str) -> bool:
        return self.psql("standby", f"SELECT pg_last_wal_replay_lsn() >= '{position}'") == "t"

    def replay(self, route: Route, seconds: int) -> str:
        """Write while the standby waits, and see how long it then takes to follow."""
        self.psql("primary", "CHECKPOINT")
        start = self.psql("primary", "SELECT pg_current_wal_lsn()")
        self.psql("standby", "SELECT pg_wal_replay_pause()")
        figures, _ = self.measure(route, seconds)
        end = self.psql("primary", "SELECT pg_current_wal_lsn()")
        self.psql("standby", "SELECT pg_wal_replay_resume()")
        began = time.monotonic()
        while not self.replayed(end):
            pass
        took = time.monotonic() - began
        size = int(self.psql("primary", f"SELECT '{end}'::pg_lsn - '{start}'::pg_lsn"))
        each = size / figures.requests
        return (
            f"{route.name}: {figures.requests:,} in {seconds} s, {each:,.0f} bytes of WAL each;"
            f" replayed in {took:.2f} s, {figures.requests / took:,.0f} a second"
        )


@contextmanager
def running(folder: Path) -> Iterator[Stack]:
    environment = os.environ | UNLIMITED | {"TRY_DIR": str(folder)}
    with subprocess.Popen([TRY, "up"], stdout=subprocess.PIPE, text=True, env=environment) as up:
        try:
            yield Stack(folder, up.stdout.readline().strip())
        finally:
            up.send_signal(signal.SIGTERM)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=3, help="for each route")
    options = parser.parse_args()
    folder = Path(tempfile.gettempdir(), f"pamps-stack-{os.getpid()}")
    with running(folder) as stack:
        stack.psql("primary", "GRANT pg_checkpoint TO pamps")
        data.make(servers.text(stack.primary), options.posts)
        found = {route.name: route for route in routes(stack.primary, stack.url, options.posts)}
        lines = []
        for name in ROUTES:
            stack.measure(found[name], 1)  # to warm up
            figures, used = stack.measure(found[name], options.seconds)
            cells = [f"{used[part]:.0f}" for part in PARTS]
            lines.append([name, f"{figures.per_second:.0f}", f"{figures.median:.1f}", *cells])
        print(table(["µs of CPU", "a second", "median, ms", *PARTS], lines))
        for name in "create post", "like":
            print(stack.replay(found[name], options.seconds * 3))


if __name__ == "__main__":
    main()

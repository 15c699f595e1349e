"""One measurement: wrk against a server, and what it cost the server's processes meanwhile."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
# A request that takes longer has failed.
TIMEOUT_SECONDS = 10


def _stat(pid: str) -> tuple[str, list[str]]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[1], fields


def family(pid: int) -> list[str]:
    """A process and all that it started, those that they started included."""
    found = [str(pid)]
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[folder.name] = _stat(folder.name)[0]
        except OSError:  # it is gone
            continue
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all that it started, the ended ones included."""
    ticks = 0
    for member in family(pid):
        try:
            ticks += sum(map(int, _stat(member)[1][11:15]))
        except OSError:
            continue
    return ticks / TICKS


def resident_megabytes(pid: int) -> float:
    """Memory of the largest process of a family."""
    pages = [int(Path(f"/proc/{member}/statm").read_text().split()[1]) for member in family(pid)]
    return max(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass
class Request:
    method: str
    path: str
    token: str = ""
    type: str = ""
    body: str = ""

    def line(self) -> str:
        return "\t".join((self.method, self.path, self.token, self.type, self.body))


@dataclass
class Figures:
    """Milliseconds, microseconds of CPU for each request, and how many there were."""

    median: float
    p99: float
    per_second: float
    requests: int
    refused: int
    failed: int
    cpu: float
    database_cpu: float


def measure(
    url: str, requests: list[Request], clients: int, seconds: float, pid: int, database_pid: int
) -> Figures:
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        file.write("\n".join(request.line() for request in requests))
        file.flush()
        before = cpu_seconds(pid), cpu_seconds(database_pid)
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", f"--timeout={TIMEOUT_SECONDS}s"]
        command += ["-s", str(HERE / "requests.lua"), url, "--", file.name]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        used = cpu_seconds(pid) - before[0], cpu_seconds(database_pid) - before[1]
    told = json.loads(output.strip().splitlines()[-1])
    count = told["requests"]
    return Figures(
        median=told["median"],
        p99=told["p99"],
        per_second=count / told["seconds"],
        requests=count,
        refused=told["refused"],
        failed=told["failed"],
        cpu=used[0] / count * 1e6,
        database_cpu=used[1] / count * 1e6,
    )

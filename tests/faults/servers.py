"""`pamps serve`, and the other commands with the same settings."""

import contextlib
import os
import random
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.measure import family
from bench.servers import free_port
from tests.databases import PAMPS
from tests.faults.clients import HUNG_SECONDS, Answer
from tests.postgresql import START_SECONDS, end, wait_until

WORKERS = 2
SERVED = {
    "PAMPS_ENV": "production",
    "PAMPS_SECURITY__SECRET_KEY": "a-key-that-signs-tokens-while-all-goes-wrong",
    "PAMPS_RATE_LIMIT__enabled": "false",
    # The cheapest hash that argon2 allows: users are many, and not what is tried here.
    "PAMPS_SECURITY__ARGON2_MEMORY_COST": "8",
    "PAMPS_SECURITY__ARGON2_TIME_COST": "1",
}


class Pamps:
    """`pamps serve`, and the other commands with the same settings."""

    def __init__(self, database: str, log: Path, **settings: str) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith("PAMPS_")}
        settings = {f"PAMPS_{name}": value for name, value in settings.items()}
        self.environment = own | SERVED | {"PAMPS_DB__uri": database} | settings
        self.log, self.port = log, free_port()
        self.process: subprocess.Popen | None = None

    def seconds(self, name: str) -> int:
        """One of its timeouts: as set here, else 10, which is the default of each."""
        return int(self.environment.get(f"PAMPS_SERVER__{name}", 10))

    def run(self, *arguments: str, **environment: str) -> None:
        done = subprocess.run(
            [PAMPS, *arguments],
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            said = (done.stdout + done.stderr).strip()
            raise RuntimeError(f"pamps {' '.join(arguments)}: {said[-1000:]}")

    def launch(self) -> None:
        command = [PAMPS, "serve", "--port", str(self.port), "--workers", str(WORKERS)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the harness, which stops it then
            )

    def start(self) -> None:
        """Starts it, and waits until each worker serves."""
        expected = self._started() + WORKERS
        self.launch()

        def done() -> bool:
            return self._started() >= expected or self.process.poll() is not None

        if not wait_until(done, START_SECONDS, 0.05) or self.process.poll() is not None:
            raise RuntimeError(f"Pamps does not start: {self.log.read_text()[-1000:]}")

    def _started(self) -> int:
        if not self.log.exists():
            return 0
        return self.log.read_bytes().count(b"Application startup complete")

    def workers(self) -> list[int]:
        """Its processes, but for the first one and its own children.

        Those are the fork server, whose children the workers are, and the resource tracker.
        """
        found = []
        for pid in family(self.process.pid)[1:]:
            with contextlib.suppress(OSError):
                alive = Path("/proc", pid, "cmdline").read_bytes()  # none: it is dead
                status = Path("/proc", pid, "status").read_text()
                if alive and f"PPid:\t{self.process.pid}\n" not in status:
                    found.append(int(pid))
        return found

    def kill_worker(self) -> set[int] | None:
        """Kills one, and gives the ports of the clients whose connections it had.

        It may be one that only starts, but while none serves there is nothing to kill: else two
        that take longer to start than they live would never serve again.
        """
        workers = self.workers()
        if not any(map(self._ports, workers)):
            return None
        pid = random.choice(workers)
        os.kill(pid, signal.SIGSTOP)  # so that it takes no more connections than are looked up
        ports = self._ports(pid)
        os.kill(pid, signal.SIGKILL)
        return ports

    def _ports(self, pid: int) -> set[int]:
        """The clients' ports of the connections that a process has taken."""
        sockets = set()
        with contextlib.suppress(OSError):  # it is gone
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):  # that one is
                    sockets.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
        ports = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            here, there = (int(fields[n].split(":")[1], 16) for n in (1, 2))
            # The one that listens has nobody at its other end.
            if here == self.port and there and fields[9] in sockets:
                ports.add(there)
        return ports

    def stop(self, seconds: float = HUNG_SECONDS) -> int | None:
        """SIGTERM. Its exit status, or None if it had to be killed."""
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.kill()

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            others = list(map(int, family(self.process.pid)))[1:]
            self.process.kill()
            self.process.wait()
            end(*others)

    def log_of(self, answer: "Answer") -> list[str]:
        """What it logged of a request, or at about that time where there was no answer."""
        number = answer.headers.get("x-request-id")
        ended = time.time() - time.monotonic() + answer.ended
        # As they begin each line, and can be compared.
        first, last = (
            f'{{"time":"{datetime.fromtimestamp(ended + seconds, UTC).isoformat()}'
            for seconds in (-1, 0.5)
        )
        with self.log.open(errors="replace") as lines:
            if number:
                return [line for line in lines if number in line][:3]
            others = (line for line in lines if '"message":"request"' not in line)
            return [line for line in others if first < line < last][:5]

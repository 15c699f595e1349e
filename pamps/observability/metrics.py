"""What Pamps counts, and the port where Prometheus asks for the sum of all workers.

Each worker writes its numbers to files in one folder, which the process of `pamps serve` reads when
it is asked. Without `metrics.port` there is none of it, and prometheus_client is not even imported.
"""

import asyncio
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, Literal, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps.config import settings
from pamps.legacy import engine, sessions
from pamps.statements import pools

# Others, which a client may make up, count as one.
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
# Most answers take a few milliseconds, a sign-in that fails half a second.
SECONDS = 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10

# In the name of a file, in the place of a process.
DEAD = "dead"

Outcome = Literal["succeeded", "failed", "disabled", "throttled"]
OUTCOMES: tuple[Outcome, ...] = ("succeeded", "failed", "disabled", "throttled")


class _Numbers:
    """The numbers of this process."""

    def __init__(self) -> None:
        from prometheus_client import Counter, Gauge, Histogram  # here, as few ask for it

        def gauge(name: str, help: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(name, help, labels, registry=None, multiprocess_mode="livesum")

        self.requests = Counter(
            "pamps_http_requests",
            "Requests that were answered, by route; none is for no route.",
            ("method", "route", "status"),
            registry=None,
        )
        self.seconds = Histogram(
            "pamps_http_request_duration_seconds",
            "How long answers took.",
            ("method", "route"),
            registry=None,
            buckets=SECONDS,
        )
        self.in_progress = gauge("pamps_http_requests_in_progress", "Requests not yet answered.")
        self.waiting = gauge(
            "pamps_requests_waiting", "Requests that wait, by what for.", ("what",)
        )
        self.connections = gauge(
            "pamps_database_connections_in_use", "Connections in use, by pool.", ("pool",)
        )
        self.sign_ins = Counter(
            "pamps_sign_ins", "Sign-ins with a password.", ("outcome",), registry=None
        )
        for outcome in OUTCOMES:
            self.sign_ins.labels(outcome)  # There from the start, at 0.


_numbers = cache(_Numbers)


def count_sign_in(outcome: Outcome) -> None:
    if settings.metrics.port:
        _numbers().sign_ins.labels(outcome).inc()


def sample() -> None:
    """Takes down each second how many connections are in use, and what waits for one."""
    numbers, engine_pool = _numbers(), cast(Any, engine.pool)
    statements = pools.get().places.statistics()
    numbers.waiting.labels("statement").set(statements.tasks_waiting)
    numbers.waiting.labels("session").set(sessions.get().statistics().tasks_waiting)
    numbers.connections.labels("statements").set(statements.borrowed_tokens)
    numbers.connections.labels("sessions").set(engine_pool.checkedout())
    asyncio.get_running_loop().call_later(1, sample)


class RequestMetrics:
    """Counts requests, whoever answers them, and takes their time."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        numbers = _numbers()
        self.in_progress = numbers.in_progress
        # Kept, as looking them up by their labels takes a quarter of all this.
        self.requests, self.seconds = cache(numbers.requests.labels), cache(numbers.seconds.labels)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        self.in_progress.inc()

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting_send)
        finally:
            self.in_progress.dec()
            method = scope["method"] if scope["method"] in METHODS else "other"
            # Not its path, of which there are too many. What is refused on the way has none yet.
            route = scope["route"].path if "route" in scope else "none"
            self.requests(method, route, status).inc()
            self.seconds(method, route).observe(time.perf_counter() - started)


class _AllWorkers:
    """The sums of what all workers have counted, and what is now with those that are alive."""

    def __init__(self, folder: str) -> None:
        from prometheus_client import multiprocess

        collector: Any = multiprocess.MultiProcessCollector
        self.folder, self.files = Path(folder), collector(None, folder)
        self.alone = Lock()

    def collect(self) -> Iterable[Any]:
        with self.alone:
            self._fold()
            numbers: Iterable[Any] = self.files.collect()
            return numbers

    def _fold(self) -> None:
        """Add what dead workers have counted to one file for all of them, and remove theirs."""
        from prometheus_client.mmap_dict import MmapedDict

        numbers: Any = MmapedDict
        alive = {str(child.pid) for child in multiprocessing.active_children()}
        for file in self.folder.glob("*_*.db"):
            kind, _, process = file.stem.rpartition("_")
            if process in alive | {DEAD}:
                continue
            if not kind.startswith("gauge"):  # which says only what is now
                sums = numbers(str(self.folder / f"{kind}_{DEAD}.db"))
                for key, number, *_ in numbers.read_all_values_from_file(str(file)):
                    sums.write_value(key, sums.read_value(key)[0] + number, 0)
                sums.close()
            file.unlink()


@contextmanager
def served() -> Iterator[None]:
    """Answers Prometheus. Raises OSError if the port cannot be had."""
    with TemporaryDirectory(prefix="pamps-metrics-") as folder:
        # By it the workers know, and prometheus_client looks for it once, when it is imported.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        from prometheus_client import start_http_server

        numbers: Any = _AllWorkers(folder)
        server, _ = start_http_server(settings.metrics.port, settings.metrics.host, numbers)
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()

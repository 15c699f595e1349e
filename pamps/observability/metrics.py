"""Prometheus metrics: the sums of all workers, served at `metrics.port`.

Each worker writes its metrics to files in one folder; the parent process reads them for each
request. Without `metrics.port` there are no metrics, and prometheus_client is not imported.
"""

import asyncio
import multiprocessing
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Literal, get_args

from pamps.config import settings
from pamps.postgres.pool import Pool

if TYPE_CHECKING:
    from prometheus_client import Metric

# Most responses take a few milliseconds, those to failed sign-ins half a second.
BUCKET_SECONDS = 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10

# Stands in file names instead of the id of a process.
DEAD = "dead"

ReadServer = Literal["primary", "replica"]
Outcome = Literal["succeeded", "failed", "disabled", "throttled"]
MailOutcome = Literal["sent", "postponed", "given_up"]


class Metrics:
    """The metrics of this process."""

    def __init__(self) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        def gauge(name: str, description: str) -> Gauge:
            return Gauge(name, description, registry=None, multiprocess_mode="livesum")

        self.requests = Counter(
            "pamps_http_requests",
            "Requests that were answered, by route; `none` is for no route.",
            ("method", "route", "status"),
            registry=None,
        )
        self.seconds = Histogram(
            "pamps_http_request_duration_seconds",
            "How long responses took.",
            ("method", "route"),
            registry=None,
            buckets=BUCKET_SECONDS,
        )
        self.requests_in_progress = gauge(
            "pamps_http_requests_in_progress", "Requests not yet answered."
        )
        self.requests_waiting = gauge(
            "pamps_requests_waiting", "Requests that wait for a database connection."
        )
        self.connections = gauge(
            "pamps_database_connections_in_use", "Database connections that requests use."
        )
        self.reads = Counter(
            "pamps_reads",
            "Reads that a replica may serve, by the server that did.",
            ("server",),
            registry=None,
        )
        for server in get_args(ReadServer):
            self.reads.labels(server)  # exists from the start, with the value 0
        self.replicas = Gauge(
            "pamps_replicas_in_use",
            "Replicas that serve reads, as the worker sees it that sees the fewest.",
            registry=None,
            multiprocess_mode="livemin",
        )
        self.streams = gauge("pamps_live_streams", "Open streams of events.")
        self.events = Counter(
            "pamps_live_events_sent", "Events that were sent on streams.", registry=None
        )
        self.lag = Histogram(
            "pamps_live_lag_seconds",
            "How long after it was stored an event was sent.",
            registry=None,
            buckets=BUCKET_SECONDS,
        )
        self.sign_ins = Counter(
            "pamps_sign_ins", "Sign-ins with a password.", ("outcome",), registry=None
        )
        for outcome in get_args(Outcome):
            self.sign_ins.labels(outcome)  # exists from the start, with the value 0
        self.mails = Counter("pamps_mails", "Attempts to send mail.", ("outcome",), registry=None)
        for mail_outcome in get_args(MailOutcome):
            self.mails.labels(mail_outcome)  # exists from the start, with the value 0
        self.mails_waiting = Gauge(
            "pamps_mails_waiting",
            "Mails that are not sent yet, as the worker saw it that looked last.",
            registry=None,
            multiprocess_mode="mostrecent",
        )


process_metrics = cache(Metrics)


def record_read(server: ReadServer) -> None:
    if settings.metrics.port:
        process_metrics().reads.labels(server).inc()


def record_replicas(count: int) -> None:
    """Tell how many replicas serve reads."""
    if settings.metrics.port:
        process_metrics().replicas.set(count)


def record_streams(count: int) -> None:
    """Tell how many streams of events are open."""
    if settings.metrics.port:
        process_metrics().streams.set(count)


def record_sent_events(sent: int, seconds: float) -> None:
    """Tell that events were sent on streams, so long after the oldest of them was stored."""
    if settings.metrics.port and sent:
        process_metrics().events.inc(sent)
        process_metrics().lag.observe(seconds)


def record_sign_in(outcome: Outcome) -> None:
    if settings.metrics.port:
        process_metrics().sign_ins.labels(outcome).inc()


def record_mail(outcome: MailOutcome) -> None:
    if settings.metrics.port:
        process_metrics().mails.labels(outcome).inc()


def record_waiting_mails(count: int) -> None:
    if settings.metrics.port:
        process_metrics().mails_waiting.set(count)


def sample_connections(pool: Pool) -> None:
    """Measure every second how many connections are in use and how many requests wait for one."""
    metrics, statistics = process_metrics(), pool.get_stats()
    metrics.connections.set(statistics["pool_size"] - statistics["pool_available"])
    metrics.requests_waiting.set(pool.requests_waiting + statistics["requests_waiting"])
    asyncio.get_running_loop().call_later(1, sample_connections, pool)


class WorkersCollector:
    """Collect the sums of all workers' counters, and the gauges of the workers that are alive."""

    def __init__(self, folder: str) -> None:
        from prometheus_client.multiprocess import MultiProcessCollector

        self.folder, self.collector = Path(folder), MultiProcessCollector(None, folder)
        self.lock = Lock()

    def collect(self) -> "Iterable[Metric]":
        with self.lock:
            self._merge_dead_workers()
            metrics: Iterable[Metric] = self.collector.collect()
            return metrics

    def _merge_dead_workers(self) -> None:
        """Add the counters of dead workers to one file, and remove the workers' own files."""
        from prometheus_client.mmap_dict import MmapedDict

        alive = {str(child.pid) for child in multiprocessing.active_children()}
        for file in self.folder.glob("*_*.db"):
            kind, _, process = file.stem.rpartition("_")
            if process in alive | {DEAD}:
                continue
            if not kind.startswith("gauge"):  # gauges only describe living workers
                sums = MmapedDict(str(self.folder / f"{kind}_{DEAD}.db"))
                for key, number, *_ in MmapedDict.read_all_values_from_file(str(file)):
                    sums.write_value(key, sums.read_value(key)[0] + number, 0)
                sums.close()
            file.unlink()


@contextmanager
def serve_metrics() -> Iterator[None]:
    """Serve the metrics at `metrics.port`. Raises OSError if the port is not free."""
    with TemporaryDirectory(prefix="pamps-metrics-") as folder:
        # Workers inherit this variable. prometheus_client reads it once, at import.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        from prometheus_client import start_http_server

        server, _ = start_http_server(
            settings.metrics.port, settings.metrics.host, WorkersCollector(folder)
        )
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()

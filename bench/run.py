"""Measures Pamps against the floor and writes down what came of it: see docs/performance.md."""

import argparse
import contextlib
import itertools
import json
import os
import platform
import random
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import psycopg2

from bench import report, servers
from bench.explain import explain
from bench.measure import Figures, Request, measure, resident_megabytes
from bench.routes import Route, routes
from pamps.config import ROOT, settings
from tests.databases import execute

FOLDER = ROOT / ".bench"
SIZES = [10_000, 100_000, 1_000_000, 10_000_000]
PLACES = settings.db.pool_size
SAMPLE = 20
# How often each of those that are compared is measured.
TURNS = 3
MIXED = 200_000


def machine(server: Any) -> str:
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    ((version,),) = execute(server, "SHOW server_version")
    return (
        f"{cpu}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB; "
        f"PostgreSQL {version}, CPython {platform.python_version()}"
    )


def headers(request: Request) -> dict[str, str]:
    sent = {"Content-Type": request.type} if request.type else {}
    return sent | ({"Authorization": f"Bearer {request.token}"} if request.token else {})


def compare(route: Route, *urls: str) -> None:
    """All give the same JSON, or the figures would not mean much."""
    for request in route.requests[:5]:
        first, *others = (httpx.get(url + request.path, headers=headers(request)) for url in urls)
        for other in others:
            assert other.json() == first.json(), f"{route.name}: {request.path} differs"


def statements(route: Route, url: str, server: Any, database: str) -> float:
    """How many a request costs, BEGIN and COMMIT included, from pg_stat_statements."""
    of_database = f"dbid = (SELECT oid FROM pg_database WHERE datname = '{database}')"
    counted = f"SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE {of_database}"

    def calls() -> int:
        ((calls,),) = execute(server, counted)
        return int(calls)

    with httpx.Client(base_url=url) as client:

        def send(requests: list[Request]) -> None:
            for one in requests:
                client.request(one.method, one.path, headers=headers(one), content=one.body)

        requests = itertools.cycle(route.requests)
        send([next(requests)])  # or the first would count what a new connection asks
        before = None
        while before != (before := calls()):
            time.sleep(0.2)  # The last clients of another route are gone, but served all the same.
        execute(server, "SELECT pg_stat_statements_reset()")
        send(list(itertools.islice(requests, SAMPLE)))
    return calls() / SAMPLE


def together(parts: list[Figures]) -> dict[str, Any]:
    """Several short measurements as one, which those that were disturbed do not change."""
    figures = {
        name: statistics.median(getattr(part, name) for part in parts)
        for name in ("median", "p99", "per_second", "cpu", "database_cpu")
    }
    counts = ("requests", "refused", "failed")
    return figures | {name: sum(getattr(part, name) for part in parts) for name in counts}


def by_turns(
    measured: dict[Any, tuple[str, int, Route]], clients: int, turns: int, database_pid: int
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The figures of several that are compared, a second each in turn, and one before to warm up.

    So what else the machine has to do meanwhile slows all of them.
    """
    parts: dict[Any, list[Figures]] = {name: [] for name in measured}
    for _ in range(turns + 1):
        for name, (url, pid, route) in measured.items():
            parts[name].append(measure(url, route.requests, clients, 1, pid, database_pid))
    for name, (_, *figures) in parts.items():
        yield name, together(figures)


def growth(server: Any, database_pid: int) -> Iterator[dict[str, Any]]:
    """What one client waits for, with few posts and with many."""
    with contextlib.ExitStack() as stack:
        sizes: dict[int, list[tuple[str, int, Route]]] = {}
        for posts in SIZES:
            address, log = servers.data_set(server, posts), FOLDER / "logs" / f"{posts}.log"
            url, pid = stack.enter_context(servers.pamps(address, log))
            sizes[posts] = [(url, pid, route) for route in routes(address, url, posts)]
        for of_all_sizes in zip(*sizes.values(), strict=True):
            measured = dict(zip(SIZES, of_all_sizes, strict=True))
            route = of_all_sizes[0][2]
            row = {"route": route.name, "is_read": route.is_read, "who": "pamps", "clients": 1}
            for posts, figures in by_turns(measured, 1, TURNS, database_pid):
                yield row | {"posts": posts} | figures


def mixed(all_routes: list[Route]) -> list[Request]:
    rng = random.Random(1)
    usual = [route for route in all_routes if route.name != "sign-in"]
    return [rng.choice(rng.choice(usual).requests) for _ in range(20_000)]


def rows(
    server: Any, database_pid: int, posts: int, quick: bool, peers: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """What was measured, one at a time, for one data set."""
    address = servers.data_set(server, posts)
    logs = FOLDER / "logs"
    logs.mkdir(exist_ok=True)
    with (
        servers.pamps(address, logs / "pamps.log") as (url, pid),
        servers.floor(address, logs / "floor.log", PLACES) as (floor_url, floor_pid),
    ):
        both = {"pamps": (url, pid), "floor": (floor_url, floor_pid)}
        both |= {name: (peer, os.getpid()) for name, peer in peers.items()}
        all_routes = routes(address, url, posts)
        for route in all_routes:
            row = {"posts": posts, "route": route.name, "is_read": route.is_read}
            known = {
                name: peer for name, peer in both.items() if name != "floor" or route.has_floor
            }
            if route.is_read:
                compare(route, *(url for url, _ in known.values()))
            counted = statements(route, url, server, address.database)
            measured = {name: (where, process, route) for name, (where, process) in known.items()}
            for name, figures in by_turns(measured, 16, 2 if quick else TURNS, database_pid):
                yield row | {"who": name, "clients": 16, "statements": counted} | figures
            if route.is_crowded and not quick:
                figures = measure(url, route.requests, 256, 2, pid, database_pid)
                yield row | {"who": "pamps", "clients": 256} | asdict(figures)
        if posts == SIZES[0] and not quick:
            requests = mixed(all_routes)
            served = 0
            while served < MIXED:
                part = measure(url, requests, 16, 20, pid, database_pid)
                served += part.requests
                memory = {"served": served, "megabytes": resident_megabytes(pid)}
                yield {"posts": posts, "route": "mixed", "who": "pamps", "clients": 16} | memory
            # After that: the memory that a crowd takes is never all given back.
            crowd = measure(url, all_routes[0].requests, 1000, 10, pid, database_pid)
            memory = {"megabytes": resident_megabytes(pid)}
            row = {"posts": posts, "route": "home", "who": "pamps", "clients": 1000}
            yield row | asdict(crowd) | memory


def main() -> None:
    parser = argparse.ArgumentParser(prog="./bench.sh", description=__doc__)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--quick", action="store_true", help="10,000 posts and 16 clients only")
    only.add_argument("--growth", action="store_true", help="1 client, at all sizes, only")
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME=URL", help="measure that one too"
    )
    arguments = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("bench.sh: wrk is missing: apt-get install wrk")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and so stop what was started
    peers = dict(peer.split("=", 1) for peer in arguments.peer)
    results = ROOT / "docs" / "performance"
    if arguments.quick or arguments.growth:
        results = FOLDER / ("quick" if arguments.quick else "growth")
    results.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        server, database_pid = stack.enter_context(servers.postgresql(FOLDER))
        found: list[dict[str, Any]] = []
        sizes = SIZES[:1] if arguments.quick else SIZES
        measured = []
        if not arguments.growth:
            measured = [rows(server, database_pid, n, arguments.quick, peers) for n in sizes]
        if not arguments.quick:
            measured.append(growth(server, database_pid))
        for row in itertools.chain(*measured):
            found.append(row)
            print(report.line(row), flush=True)
        posts = sizes[-1]
        with contextlib.closing(
            psycopg2.connect(servers.text(servers.data_set(server, posts)))
        ) as db:
            plans = explain(db, posts)
        (results / "results.json").write_text(json.dumps(found, indent=1) + "\n")
        (results / "plans.md").write_text(plans)
        report.write(results, found, machine(server), PLACES)
    print(f"written to {results.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

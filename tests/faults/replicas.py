"""A replica that lags, dies and comes back, and a primary that dies, under clients."""

import contextlib
import itertools
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.servers import free_port
from tests.faults.clients import Answer, Client, Record, crowd
from tests.faults.scenarios import Stage, scenario
from tests.faults.servers import Pamps
from tests.faults.world import World
from tests.postgresql import PostgreSQL, running, wait_until

CLIENTS = 16
# How long reads may stop when the primary dies.
STOP_SECONDS = 2


@dataclass
class Pairs:
    """Clients that write at one of two servers, and read at the other what they have written."""

    record: Record = field(default_factory=Record)
    stale: list[Answer] = field(default_factory=list)
    reads: int = 0

    def turn(self, others: dict[int, Client]) -> Callable[[Client], None]:
        def turn(client: Client) -> None:
            text = client.next_text()
            written = client.request("POST", "/post/", {"text": text})
            self.record.add(written, text)
            if not written.succeeded:
                return
            path = f"/post/{self.record.acknowledged[text]}/"
            read = others[id(client)].request("GET", path)
            self.reads += 1
            if read.status == 404:
                self.stale.append(read)
            else:
                self.record.add(read)

        return turn


def reads_by_server(ports: list[int]) -> dict[str, float]:
    """How many reads were served by the primary and by the replica."""
    counts = {"primary": 0.0, "replica": 0.0}
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
            for line in response.read().decode().splitlines():
                for server in counts:
                    if line.startswith(f'pamps_reads_total{{server="{server}"}}'):
                        counts[server] += float(line.split()[-1])
    return counts


@dataclass
class Replicated:
    primary: PostgreSQL
    replica: PostgreSQL
    worlds: list[World]
    metrics: list[int]

    def share(self, play: Callable[[], object]) -> float:
        """The part of the reads that the replica serves meanwhile."""
        before = reads_by_server(self.metrics)
        play()
        after = reads_by_server(self.metrics)
        grown = {server: after[server] - before[server] for server in after}
        return grown["replica"] / max(1, sum(grown.values()))


@contextlib.contextmanager
def replicated(stage: Stage) -> Iterator[Replicated]:
    """A primary with a replica, and two servers of Pamps that use both."""
    folder = stage.ground.folder
    with (
        stage.ground.postgresql(folder / "primary") as primary,
        running(folder / "replica", primary) as replica,
        contextlib.ExitStack() as stack,
    ):
        ports, worlds = [free_port(), free_port()], []
        for n, port in enumerate(ports):
            settings = {"DB__replica_uri": replica.address, "METRICS__port": str(port)}
            settings |= stage.ground.settings
            pamps = Pamps(primary.address, Path(folder, f"pamps{n}.log"), **settings)
            pamps.log.write_bytes(b"")
            stack.callback(pamps.kill)
            pamps.start()
            worlds.append(World(primary, pamps))
        world = Replicated(primary, replica, worlds, ports)
        for each in worlds:
            in_use = wait_until(lambda e=each: _count(e, "serves reads") >= 2, 30)
            stage.expect(in_use, "the replica is not used")
        yield world


def _count(world: World, words: str) -> int:
    return world.pamps.log.read_text(errors="replace").count(words)


@scenario(quick={"pairs": 300, "seconds": 3}, long={"pairs": 10_000, "seconds": 30})
def replicas(stage: Stage, pairs: int, seconds: int) -> None:
    with replicated(stage) as service:
        first, second = service.worlds
        users = first.users(CLIENTS)
        others = {}
        for number, user in enumerate(users):
            others[id(user)] = other = second.client(user.username)
            other.token = user.token
            if number % 2:  # these write at the second server
                user.http.port, other.http.port = other.http.port, user.http.port
                user.http.close()

        def play(until: Callable[[Pairs], bool]) -> Pairs:
            found = Pairs()
            with crowd(users, found.turn(others)):
                wait_until(lambda: until(found), 600, 0.1)
            return found

        def tell(name: str, found: Pairs, share: float) -> None:
            stage.say(
                f"{name}: {found.reads} pairs, stale {len(found.stale)},"
                f" {share:.0%} of the reads by the replica; {found.record}"
            )
            stage.expect(not found.stale, f"{name}: stale reads, such as {found.stale[:2]}")
            stage.expect(not found.record.others, f"{name}: {found.record.others[:3]}")

        def measured(name: str, until: Callable[[Pairs], bool]) -> float:
            played = []
            share = service.share(lambda: played.append(play(until)))
            tell(name, played[0], share)
            return share

        def lasting() -> Callable[[Pairs], bool]:
            end = time.monotonic() + seconds
            return lambda _: time.monotonic() > end

        share = measured("both", lambda found: found.reads >= pairs)
        stage.expect(share >= 0.5, f"the replica served {share:.0%}")
        service.replica.execute("SELECT pg_wal_replay_pause()")
        measured("replay paused", lasting())
        service.replica.execute("SELECT pg_wal_replay_resume()")
        killed = []

        def kill_once(found: Pairs) -> bool:
            if not killed and found.reads >= 50:
                service.replica.kill()
                killed.append(time.monotonic())
            return bool(killed) and time.monotonic() > killed[0] + seconds / 3

        measured("replica killed", kill_once)
        service.replica.start()
        wait_until(lambda: _count(first, "serves reads") >= 4, 30, 0.1)
        share = measured("replica back", lasting())
        stage.expect(share >= 0.5, f"the replica served {share:.0%} after its return")
        _kill_primary(stage, service, users)
        wait_until(lambda: _count(first, "serves reads") >= 6, 30, 0.1)
        share = measured("primary back", lasting())
        stage.expect(share >= 0.5, f"the replica served {share:.0%} after the primary's return")


def _kill_primary(stage: Stage, service: Replicated, users: list[Client]) -> None:
    """Reads go on without a primary, signed in or not."""
    readers = [*users[:4], *(service.worlds[n % 2].client() for n in range(4))]
    paths, answers, longest = itertools.cycle(("/post/", "/user/")), Record(), 0.0
    last = {id(reader): time.monotonic() for reader in readers}

    def turn(client: Client) -> None:
        nonlocal longest
        answer = client.request("GET", next(paths))
        answers.add(answer)
        if answer.succeeded:
            longest = max(longest, answer.ended - last[id(client)])
            last[id(client)] = answer.ended

    with crowd(readers, turn):
        time.sleep(1)
        service.primary.kill()
        time.sleep(6)
        service.primary.start()
        users[-1].insist("POST", "/post/", {"text": "x"})
        time.sleep(1)
    stage.say(f"primary killed: {answers}, no reads for {longest:.2f} s at most")
    stage.expect(longest <= STOP_SECONDS, f"reads stopped for {longest:.2f} s")
    stage.expect_none(answers.others, "reads that failed", service.worlds[0])

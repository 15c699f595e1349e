"""What Pamps waits for: a database that does not move, clients that do not send, a full disk."""

import contextlib
import os
import random
import selectors
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pamps.postgres import cluster
from tests.faults.clients import Client, Record, crowd, probing
from tests.faults.kills import writing
from tests.faults.scenarios import Stage, scenario
from tests.faults.world import World
from tests.postgresql import wait_until


# Of the few times that the quick form asks for /health/live, one may be slow by chance.
@scenario(
    quick={"seconds": 4, "live_percent": 90},
    long={"seconds": 30, "live_percent": 100},
)
def frozen(stage: Stage, seconds: int, live_percent: int) -> None:
    with stage.ground.world() as world:
        record, paths = Record(), ("/post/", "/user/user0/", "/user/timeline")
        write = writing(record)

        def turn(client: Client) -> None:
            if random.random() < 0.5:
                write(client)
            elif random.random() < 0.2:
                patch = {"text": "edited"}
                record.add(client.request("PATCH", f"/post/{own[client]}/", patch))
            else:
                answer = client.request("GET", random.choice(paths))
                record.add(answer)
            time.sleep(0.05 if record.successes else 0.2)

        users = world.users(64)
        own = {user: user.insist("POST", "/post/", {"text": "mine"})["id"] for user in users}
        with crowd(users, turn):
            time.sleep(0.5)  # the first requests of 64 at once are a crowd and no frozen database
            with probing(world.pamps.port, "/health/live", 0.1, keep_alive=False) as live:
                time.sleep(0.5)
                world.database.freeze()
                time.sleep(seconds)
                thawed = time.monotonic()
                world.database.thaw()
                success = record.first_success(thawed, 15)
                time.sleep(0.5)
        bound = world.pamps.seconds("request_timeout") + 1
        stage.say(f"{record}, the slowest after {record.slowest:.2f} s")
        stage.expect(record.slowest <= bound, f"an answer took {record.slowest:.2f} s")
        wrong = [answer for answer in record.others if not answer.refused]
        stage.expect_none(wrong, "neither success nor 503 with Retry-After", world)
        stage.expect_kept(world, record)
        p50, p99, slowest = (live.percentile(percent) for percent in (50, 99, 100))
        told = f"p99 {p99:.1f}, at most {slowest:.1f} of {len(live.milliseconds)}"
        stage.say(f"live {p50:.1f} ms, {told}")
        judged = live.percentile(live_percent)
        stage.expect(judged <= 50, f"/health/live took {judged:.1f} ms {live.failures[:3]}")
        healed = float("inf") if success is None else success - thawed
        stage.say(f"first success {healed:.2f} s after SIGCONT")
        stage.expect(healed <= 2, f"first success {healed:.2f} s after SIGCONT")


# What each kind of slow client sends at first, and then each second.
HEAD = b"POST /user/ HTTP/1.1\r\nHost: pamps\r\nContent-Type: application/json\r\n"
SLOW = {
    "silent": (b"", b""),
    "half a head": (HEAD[:40], b""),
    "slow head": (HEAD + b"X-Slow: ", b"x"),
    "no body": (HEAD + b"Content-Length: 1000\r\n\r\n", b""),
    "slow body": (HEAD + b"Content-Length: 1000\r\n\r\n", b" "),
}


@dataclass
class Slow:
    kind: str
    socket: socket.socket
    began: float
    dripped: float


class SlowClients:
    """Connections that hold up the server, all of them in this thread."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.selector = selectors.DefaultSelector()
        self.open: dict[int, Slow] = {}
        self.lasted: dict[str, list[float]] = {kind: [] for kind in SLOW}
        self.most = self.refused = 0

    def connect(self, kind: str) -> None:
        try:
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
            connection.sendall(SLOW[kind][0])
        except OSError:
            self.refused += 1
            return
        connection.setblocking(False)
        now = time.monotonic()
        self.open[connection.fileno()] = Slow(kind, connection, now, now)
        self.selector.register(connection, selectors.EVENT_READ)
        self.most = max(self.most, len(self.open))

    def _close(self, slow: Slow) -> None:
        self.lasted[slow.kind].append(time.monotonic() - slow.began)
        self.selector.unregister(slow.socket)
        del self.open[slow.socket.fileno()]
        slow.socket.close()

    def look(self, seconds: float) -> None:
        """Sees which are closed by the server, and waits for that so long at most."""
        for key, _ in self.selector.select(seconds):
            with contextlib.suppress(OSError):
                if key.fileobj.recv(65536):
                    continue  # an answer, such as 408; what counts is when it closes
            self._close(self.open[key.fd])

    def drip(self) -> None:
        now = time.monotonic()
        for slow in list(self.open.values()):
            if SLOW[slow.kind][1] and now - slow.dripped >= 1:
                slow.dripped = now
                with contextlib.suppress(OSError):
                    slow.socket.send(SLOW[slow.kind][1])

    def leave(self) -> None:
        for slow in list(self.open.values()):
            self._close(slow)


@scenario(
    quick={"connections": 500, "quiet_seconds": 2},
    long={"connections": 10_000, "quiet_seconds": 10},
)
def half_open(stage: Stage, connections: int, quiet_seconds: int) -> None:
    with stage.ground.world() as world:
        receive_timeout = world.pamps.seconds("receive_timeout")
        writer = world.users(1)[0]
        for _ in range(20):
            writer.insist("POST", "/post/", {"text": writer.next_text()})
        port, crawlers = world.pamps.port, SlowClients(world.pamps.port)
        with probing(port, "/post/", 0.01, keep_alive=True) as quiet:
            time.sleep(quiet_seconds)
        bound = receive_timeout + 3
        with probing(port, "/post/", 0.01, keep_alive=True) as crowded:
            began = time.monotonic()
            # Soon enough that all are open before the first is closed.
            rate = connections / (receive_timeout * 0.4)
            kinds = list(SLOW)
            for n in range(connections):
                crawlers.connect(kinds[n % len(kinds)])
                if n % 20 == 0:
                    crawlers.look(max(0, began + n / rate - time.monotonic()))
                    crawlers.drip()
            opened = time.monotonic() - began
            deadline = time.monotonic() + bound + 5
            while crawlers.open and time.monotonic() < deadline:
                crawlers.look(0.1)
                crawlers.drip()
        left = Counter(slow.kind for slow in crawlers.open.values())
        crawlers.leave()
        lasted = {kind: max(seconds, default=0) for kind, seconds in crawlers.lasted.items()}
        first = min(min(seconds, default=0) for seconds in crawlers.lasted.values())
        stage.say(f"{connections} opened in {opened:.1f} s, {crawlers.most} at once")
        told = ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in lasted.items())
        stage.say(f"closed after {first:.1f} s at least and at most: {told}")
        stage.expect(not crawlers.refused, f"{crawlers.refused} could not connect")
        stage.expect(not left, f"never closed: {dict(left)}")
        late = {kind: round(seconds, 1) for kind, seconds in lasted.items() if seconds > bound}
        stage.expect(not late, f"closed after more than {bound} s: {late}")
        usual, p99 = quiet.percentile(99), crowded.percentile(99)
        stage.say(f"p99 of another client {p99:.1f} ms, {usual:.1f} ms when it is quiet")
        stage.expect(p99 <= 5 * usual, f"p99 {p99:.1f} ms, when it is quiet {usual:.1f}")
        failed = f"another client failed {len(crowded.failures)} times: {crowded.failures[:3]}"
        stage.expect(not crowded.failures, failed)


MEGABYTE = 2**20


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    if os.geteuid() != 0:
        raise RuntimeError("only root can mount a small disk")
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", folder], check=True
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()


def fill(disk: Path, leave: int) -> Path:
    """A file that leaves so much room on a disk."""
    filler = disk / "filler"
    room = os.statvfs(disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, room.f_bavail * room.f_bsize - leave))
    return filler


def write_until_refused(world: World, users: list[Client], record: Record, seconds: int) -> bool:
    """Writes long posts until a hundred in a row were not taken."""

    def turn(client: Client) -> None:
        text = f"{client.next_text()} ".ljust(255, "x")
        record.add(client.request("POST", "/post/", {"text": text}), text)

    def full() -> bool:
        return len(record.others) >= 100

    with crowd(users, turn):
        return wait_until(full, seconds, 0.1)


@scenario(long={"megabytes": 64})
def disk_full(stage: Stage, megabytes: int) -> None:
    with small_disk(stage.ground.folder / "disk", megabytes) as disk:
        _full_tables(stage, disk)
    with small_disk(stage.ground.folder / "disk", 2 * megabytes) as disk:
        _full_cluster(stage, disk)


def _full_tables(stage: Stage, disk: Path) -> None:
    space = disk / "space"
    cluster.ensure_private_folder(space)
    with stage.ground.postgresql() as server:
        server.execute(
            f"CREATE TABLESPACE small LOCATION '{space}'",
            "ALTER DATABASE pamps SET TABLESPACE small",
            database="postgres",
        )
        with stage.ground.serving(server) as world:
            users, record, after = world.users(8), Record(), Record()
            filler = fill(disk, 4 * MEGABYTE)
            stage.expect(write_until_refused(world, users, record, 120), "writes were not refused")
            id_ = next(iter(record.acknowledged.values()))
            paths = ("/post/", f"/post/{id_}/", "/user/user0/", "/post/user/user0/", "/user/me/")
            reads = [users[0].request("GET", path) for path in paths * 20]
            stage.expect_none(
                [answer for answer in reads if answer.status != 200], "reads refused", world
            )
            stage.say(f"tables full: {record}, {len(reads)} reads")
            filler.unlink()
            made = time.monotonic()
            with crowd(users, writing(after)):
                success = after.first_success(made, 15)
                time.sleep(3)
            healed = float("inf") if success is None else success - made
            stage.say(f"with room again: {after}, first success after {healed:.2f} s")
            stage.expect(healed <= 2, f"first success {healed:.2f} s after there was room")
            late = [answer for answer in after.others if answer.began > made + 2]
            stage.expect_none(late, "not written 2 s after there was room", world)
            everything = record.others + after.others
            wrong = [answer for answer in everything if not answer.refused]
            stage.expect_none(wrong, "neither success nor 503 with Retry-After", world)
            record.acknowledged |= after.acknowledged
            stage.expect_kept(world, record)


def _full_cluster(stage: Stage, disk: Path) -> None:
    """PostgreSQL cannot go on without room for its log, so this only tells what comes of it."""
    with (
        stage.ground.postgresql(disk / "data", max_wal_size="32MB", min_wal_size="32MB") as server,
        stage.ground.serving(server) as world,
    ):
        users, record, after = world.users(8), Record(), Record()
        filler = fill(disk, 4 * MEGABYTE)
        write_until_refused(world, users, record, 60)
        reads = [users[0].request("GET", "/post/").status for _ in range(20)]
        was_up = server.accepts()
        filler.unlink()
        by_itself = wait_until(server.accepts, 10)
        if not by_itself:
            end_of_log = (server.data / "server.log").read_text().strip().splitlines()[-1:]
            server.start()
        made = time.monotonic()
        with crowd(users, writing(after)):
            success = after.first_success(made, 15)
        record.acknowledged |= after.acknowledged
        stage.say(
            f"all of it full: {record}, reads {dict(Counter(reads))}, PostgreSQL is "
            f"{'up' if was_up else 'down'} and with room again "
            f"{'comes by itself' if by_itself else f'has to be started ({end_of_log})'}, "
            f"first success {'never' if success is None else f'{success - made:.2f} s'} later, "
            f"lost {len(world.lost(record))}"
        )

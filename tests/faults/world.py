"""What the scenarios act on: PostgreSQL, Pamps and clients, and what the clients were answered."""

import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from bench.measure import family
from bench.servers import free_port
from tests import canary
from tests.databases import PAMPS
from tests.postgresql import START_SECONDS, PostgreSQL, end, wait_until

WORKERS = 2
ACCOUNTS = 16
# Longer than Pamps may take for any answer: what takes this long has hung.
HUNG_SECONDS = 30
# A connection that was idle for so long may be closed by Pamps just when it is used again.
IDLE_SECONDS = 2
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


@dataclass
class Answer:
    """What came of a request: status 0 and an error if there was no answer, or not all of it."""

    request: str
    status: int = 0
    error: str = ""
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    began: float = 0
    ended: float = 0
    # Whether there was a connection to send it on, the port at this end, and how many it is there.
    connected: bool = False
    port: int = 0
    turn: int = 0

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """Politely: the client knows when to come again."""
        return self.status == 503 and "retry-after" in self.headers

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def json(self) -> dict:
        return json.loads(self.body)

    def __str__(self) -> str:
        told = self.error or self.body[:200].decode(errors="replace")
        return f"{self.request}: {self.status} after {self.seconds:.2f} s, {told}"


_serials = itertools.count(1)


class Client:
    """Somebody who is signed in, or nobody, with one connection that is kept alive."""

    def __init__(self, port: int, username: str = "") -> None:
        self.username, self.id, self.token = username, 0, ""
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=HUNG_SECONDS)
        self.http.auto_open = False
        self.turn, self.used = 0, 0.0
        self._serial, self._numbers = next(_serials), itertools.count(1)

    def request(
        self, method: str, path: str, json_body: object = None, *, key: str = "", form: str = ""
    ) -> Answer:
        answer = Answer(f"{method} {path}", began=time.monotonic())
        try:
            self._send(answer, method, path, json_body, key, form)
            response = self.http.getresponse()
            answer.headers = {name.lower(): value for name, value in response.getheaders()}
            answer.body = response.read()  # raises IncompleteRead
            answer.status = response.status
        except (OSError, http.client.HTTPException) as error:
            answer.error = repr(error)
            self.http.close()
        answer.ended = self.used = time.monotonic()
        return answer

    def insist(self, method: str, path: str, json_body: object = None, *, form: str = "") -> dict:
        """For what a scenario needs before it begins: what was before it may still be felt."""
        deadline = time.monotonic() + HUNG_SECONDS
        while not (answer := self.request(method, path, json_body, form=form)).succeeded:
            if not answer.refused or answer.ended > deadline:
                raise RuntimeError(str(answer))
            time.sleep(0.05)
        return answer.json()

    def hang_up_on(self, method: str, path: str, json_body: object, *, key: str) -> None:
        """Sends a request and does not wait for the answer."""
        with contextlib.suppress(OSError):
            self._send(Answer(""), method, path, json_body, key)
        self.http.close()

    def _send(
        self,
        answer: Answer,
        method: str,
        path: str,
        json_body: object,
        key: str = "",
        form: str = "",
    ) -> None:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if key:
            headers["Idempotency-Key"] = key
        body = form.encode()
        if json_body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(json_body).encode()
        elif form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if time.monotonic() - self.used > IDLE_SECONDS:
            self.http.close()
        if self.http.sock is None:
            self.http.connect()
            self.turn = 0
        self.turn += 1
        answer.connected, answer.turn = True, self.turn
        answer.port = self.http.sock.getsockname()[1]
        self.http.request(method, path, body or None, headers)

    def sign_up(self) -> None:
        account = {"username": self.username, "email": f"{self.username}@pamps.com"}
        account["password"] = self._password
        self.id = self.insist("POST", "/user/", account)["id"]
        self.token = self.sign_in()["access_token"]

    @property
    def _password(self) -> str:
        return canary.password(self.username)

    @property
    def credentials(self) -> str:
        return f"username={self.username}&password={self._password.replace(' ', '+')}"

    def sign_in(self) -> dict:
        return self.insist("POST", "/token", form=self.credentials)

    def next_text(self) -> str:
        """A text for a post that nobody else writes."""
        return f"{self.username} {self._serial} {next(self._numbers)}"


class Record:
    """What clients were answered."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.acknowledged: dict[str, int] = {}  # the id of a post by its text
        self.successes: list[Answer] = []
        self.others: list[Answer] = []
        self.slowest = 0.0
        self._lock = threading.Lock()

    def add(self, answer: Answer, text: str = "") -> None:
        with self._lock:
            self.statuses[answer.status] += 1
            self.slowest = max(self.slowest, answer.seconds)
            if answer.succeeded:
                if text:
                    self.acknowledged[text] = answer.json()["id"]
                answer.body, answer.headers = b"", {}  # there are many
                self.successes.append(answer)
            else:
                self.others.append(answer)

    @property
    def total(self) -> int:
        return self.statuses.total()

    def first_success(self, after: float, seconds: float) -> float | None:
        """When the first request that was sent after that time succeeded."""
        start = max(0, len(self.successes) - 1000)

        def found() -> list[float]:
            return [answer.ended for answer in self.successes[start:] if answer.began > after]

        return min(found()) if wait_until(found, seconds, 0.005) else None

    def __str__(self) -> str:
        return ", ".join(f"{count} × {status}" for status, count in sorted(self.statuses.items()))


@contextlib.contextmanager
def crowd(clients: list[Client], turn: Callable[[Client], None]) -> Iterator[None]:
    """Meanwhile each client takes one turn after the other, in a thread of its own."""
    stop, errors = threading.Event(), []

    def live(client: Client) -> None:
        try:
            while not stop.is_set():
                turn(client)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=live, args=[client], daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
    for thread in threads:
        thread.join(2 * HUNG_SECONDS)
        if thread.is_alive():
            raise RuntimeError("a client hangs")
    for error in errors:
        raise error


@dataclass
class Probe:
    """What each answer took, in milliseconds, and what was no answer."""

    milliseconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def percentile(self, percent: float) -> float:
        """Of none it is endless."""
        in_order = sorted(self.milliseconds) or [float("inf")]
        return in_order[min(len(in_order) - 1, int(len(in_order) * percent / 100))]


@contextlib.contextmanager
def probing(port: int, path: str, pause: float, *, keep_alive: bool) -> Iterator[Probe]:
    """Meanwhile a process of its own asks for that path; after it there is what came of it."""
    command = [sys.executable, "-m", "tests.faults.probe", str(port), path, str(pause)]
    command += ["keep-alive"] if keep_alive else []
    probe = Probe()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            process.stdout.readline()  # when it has begun
            yield probe
            output, _ = process.communicate(timeout=2 * HUNG_SECONDS)
            probe.milliseconds, probe.failures = json.loads(output)
        finally:
            process.kill()


@dataclass
class World:
    database: PostgreSQL
    pamps: Pamps
    signed_up: int = 0
    known: list[Client] = field(default_factory=list)

    def client(self, username: str = "") -> Client:
        return Client(self.pamps.port, username)

    def newcomers(self, count: int) -> list[Client]:
        """So many new accounts, each with a client that is signed in."""
        first = self.signed_up
        self.signed_up += max(0, count)
        clients = [self.client(f"user{n}") for n in range(first, self.signed_up)]
        for client in clients:
            client.sign_up()
        return clients

    def users(self, count: int) -> list[Client]:
        """So many clients that are signed in, to a few accounts that all scenarios share."""
        self.known += self.newcomers(min(count, ACCOUNTS) - len(self.known))
        clients = []
        for account in itertools.islice(itertools.cycle(self.known), count):
            client = self.client(account.username)
            client.id, client.token = account.id, account.token
            clients.append(client)
        return clients

    def lost(self, record: Record) -> list[str]:
        """The texts of posts that were acknowledged and are not there."""
        stored = dict(self.database.execute("SELECT text, id FROM post"))
        return [text for text, id_ in record.acknowledged.items() if stored.get(text) != id_]


class Ground:
    """Where worlds are made, each from a copy of one cluster."""

    def __init__(self, folder: Path, *, share: bool, **settings: str) -> None:
        self.folder, self.share, self.settings = folder, share, settings
        self._shared = contextlib.ExitStack()
        self._world: World | None = None

    @cached_property
    def template(self) -> Path:
        """A cluster with a migrated database."""
        server = PostgreSQL(self.folder / "template")
        server.make()
        server.configure(fsync="off")
        server.start()
        try:
            server.execute("CREATE DATABASE pamps", database="postgres")
            Pamps(server.address, self.folder / "template.log").run("migrate")
        finally:
            server.stop()
        return server.data

    @contextlib.contextmanager
    def postgresql(self, data: Path | None = None, **settings: str) -> Iterator[PostgreSQL]:
        server = PostgreSQL(data or self.folder / "data")
        subprocess.run(["cp", "-a", self.template, server.data], check=True)
        server.configure(fsync="on", **settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()
            subprocess.run(["rm", "-rf", server.data], check=True)

    @contextlib.contextmanager
    def serving(self, server: PostgreSQL, **settings: str) -> Iterator[World]:
        pamps = Pamps(server.address, self.folder / "pamps.log", **self.settings | settings)
        pamps.log.write_bytes(b"")
        try:
            pamps.start()
            yield World(server, pamps)
        finally:
            pamps.kill()

    @contextlib.contextmanager
    def new_world(
        self, postgresql: dict[str, str] | None = None, **settings: str
    ) -> Iterator[World]:
        """PostgreSQL with these settings, and Pamps with those."""
        with (
            self.postgresql(**postgresql or {}) as server,
            self.serving(server, **settings) as world,
        ):
            yield world

    @contextlib.contextmanager
    def world(self) -> Iterator[World]:
        """One with the usual settings: a new one, or if it is shared the last one."""
        if not self.share:
            with self.new_world() as world:
                yield world
            return
        if self._world is None:
            self._world = self._shared.enter_context(self.new_world())
        yield self._world

    def clear(self) -> None:
        """The next world is a new one."""
        self._world = None
        self._shared.close()


class LeftOut(Exception):
    """What a scenario needs is not here."""


class Stage:
    """What is to be said of one scenario."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.figures: list[str] = []
        self.problems: list[str] = []

    def say(self, figure: str) -> None:
        self.figures.append(figure)

    def expect(self, holds: object, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    def expect_none(self, wrong: list[Answer], what: str, world: World) -> None:
        """Says so if there are such answers, with a few of them and what Pamps logged of each."""
        self.say(f"{what} {len(wrong)}")
        if wrong:
            lines = [f"{len(wrong)} {what}, such as"]
            for answer in wrong[:3]:
                lines.append(f"  {answer} (its connection's {answer.turn}.)")
                lines += (f"    {line.strip()[:1500]}" for line in world.pamps.log_of(answer))
            self.problems.append("\n".join(lines))

    def expect_kept(self, world: World, record: Record) -> None:
        lost = world.lost(record)
        self.say(f"acknowledged {len(record.acknowledged)}, lost {len(lost)}")
        self.expect(not lost, f"acknowledged and lost: {len(lost)}, such as {lost[:3]}")
        with world.pamps.log.open(errors="replace") as log:
            self.expect(not any(map(canary.SECRET.search, log)), "a secret is in the log")


@dataclass
class Scenario:
    play: Callable[..., None]
    long: dict[str, object]
    quick: dict[str, object] | None  # None: it has no quick form

    @property
    def name(self) -> str:
        return self.play.__name__.replace("_", "-")


SCENARIOS: dict[str, Scenario] = {}


def scenario(long: dict[str, object], quick: dict[str, object] | None = None) -> Callable:
    """Puts a function on the list, with its numbers for the long form and for the quick one."""

    def add(play: Callable[..., None]) -> Callable[..., None]:
        found = Scenario(play, long, quick)
        SCENARIOS[found.name] = found
        return play

    return add

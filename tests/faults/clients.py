"""Clients, and what they were answered."""

import contextlib
import http.client
import itertools
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests import canary
from tests.postgresql import wait_until

# Longer than Pamps may take for any answer: what takes this long has hung.
HUNG_SECONDS = 30
# A connection that was idle for so long may be closed by Pamps just when it is used again.
IDLE_SECONDS = 2


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

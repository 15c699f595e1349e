"""Processes of Pamps: its commands, the servers that they start, and ways to a database."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg2
from sqlalchemy import make_url

from tests import canary
from tests.databases import PAMPS
from tests.helpers import USER

CHECKOUT = Path(__file__).parents[1]
PRODUCTION = {"PAMPS_ENV": "production", "PAMPS_SECURITY__SECRET_KEY": "x" * 32}


def pamps(*arguments: object, stdin: str = "", **environment: str) -> subprocess.CompletedProcess:
    return run([PAMPS, *map(str, arguments)], stdin, **environment)


def run(command: list, stdin: str = "", **environment: str) -> subprocess.CompletedProcess:
    """Runs a command in a folder that has nothing to do with Pamps."""
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        cwd="/",
        env=os.environ | {"COLUMNS": "100", "NO_COLOR": "1"} | environment,
        timeout=60,
    )
    canary.assert_unseen(done.stdout + done.stderr)
    return done


@contextlib.contextmanager
def served(
    settings: dict[str, str], *arguments: str, log: list[str] | None = None, port: int | None = None
) -> Iterator[tuple[subprocess.Popen, httpx.Client]]:
    """A development server with these settings, and a client for it. `log` gets what it logs.

    It has one worker if nothing says otherwise, as each takes a second to start, and listens on a
    free port.
    """
    port = port or free_port()
    log = [] if log is None else log
    with subprocess.Popen(
        [PAMPS, "serve", "--port", str(port), *arguments],
        env=os.environ | {"PAMPS_ENV": "development", "PAMPS_SERVER__workers": "1"} | settings,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        reader = None
        try:
            for line in process.stderr:
                log.append(line)
                if "Application startup complete" in line:
                    break
            # Whoever logs waits when nobody reads.
            reader = threading.Thread(target=log.extend, args=[process.stderr])
            reader.start()
            address = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=address, timeout=20) as client:
                yield process, client
            process.wait(timeout=20)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            if reader:
                reader.join()
    canary.assert_unseen("".join(log))


@contextlib.contextmanager
def signed_in(database: str, **settings: str) -> Iterator[httpx.Client]:
    """A server on that database, and a client for ana."""
    settings = {f"PAMPS_{name}": value for name, value in settings.items()}
    settings["PAMPS_DB__uri"] = database
    with served(settings) as (process, client):
        client.post("/user/", json=USER)
        token = client.post("/token", data=USER).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client
        process.terminate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def embedded(folder: Path) -> dict[str, str]:
    return {"PAMPS_DB__uri": "", "PAMPS_DB__embedded_dir": str(folder)}


def kill_server(folder: Path) -> None:
    """Kills the server, and returns when it is dead."""
    pid = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    while is_running(folder):
        pass


def is_running(folder: Path) -> bool:
    try:
        psycopg2.connect(host=str(folder / "socket"), user="postgres", dbname="pamps").close()
    except psycopg2.OperationalError:
        return False
    return True


class Relay:
    """The way to a database, which may end as a server does that is stopped just then."""

    FATAL = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
    FAREWELL = b"E" + (len(FATAL) + 4).to_bytes(4, "big") + FATAL

    def __init__(self, database: str) -> None:
        self.ends = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        url = make_url(database)
        port = self.listener.getsockname()[1]
        self.address = url.set(host="127.0.0.1", port=port, query={})
        host, port = url.query.get("host") or url.host, url.port or 5432
        self.server = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self.listener.accept()
            family = socket.AF_UNIX if isinstance(self.server, str) else socket.AF_INET
            server = socket.socket(family)
            server.connect(self.server)
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def opened(self) -> Callable[[bytes], None]:
        """Return what is called with all that the client of a new connection sends."""
        return lambda data: None

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        sent = self.opened()
        with client, server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    if self.ends and ready is client:
                        client.sendall(self.FAREWELL)
                        return  # and what the client has sent is not read
                    if not (data := ready.recv(65536)):
                        return
                    if ready is client:
                        sent(data)
                    (server if ready is client else client).sendall(data)

"""PostgreSQL servers with data of their own, which are started, killed, frozen and replicated."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg2

from bench.measure import family
from bench.servers import free_port
from pamps.postgres import cluster
from tests.databases import PAMPS

START_SECONDS = 60
PR_SET_CHILD_SUBREAPER = 36  # its number in linux/prctl.h


def adopt() -> None:
    """Makes this process the parent of whatever its children leave behind, to see and to end it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end(*pids: int) -> None:
    """Kills processes and buries them, the parents first, so that they start no others."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def end_all() -> None:
    """Ends all that this process has started and what came of it."""
    while pids := list(map(int, family(os.getpid())))[1:]:
        end(*pids)


def wait_until(condition: Callable[[], object], seconds: float, pause: float = 0.01) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


class PostgreSQL:
    """A cluster of its own, which is started, killed and frozen here."""

    def __init__(self, data: Path) -> None:
        self.data, self.port, self.pid = data, free_port(), 0
        self.address = f"postgresql://postgres@127.0.0.1:{self.port}/pamps"

    def make(self) -> None:
        cluster.ensure_private_folder(self.data)
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        cluster.run_as_owner("initdb", "-D", self.data, *options)

    def configure(self, **settings: str) -> None:
        """What is here only counts from the next start on."""
        settings |= {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "100",
        }
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def launch(self) -> None:
        cluster.run_as_owner(
            "pg_ctl", "start", "-D", self.data, "-W", "-l", self.data / "server.log"
        )

    def start(self) -> float:
        """Starts it, and says when it accepted the first connection."""
        self.launch()
        if not wait_until(self.accepts, START_SECONDS):
            log = (self.data / "server.log").read_text()
            raise RuntimeError(f"PostgreSQL does not start: {log[-1000:]}")
        accepted = time.monotonic()
        self.pid = int((self.data / "postmaster.pid").read_text().split()[0])
        return accepted

    def accepts(self) -> bool:
        try:
            psycopg2.connect(self.address, dbname="postgres", connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _processes(self) -> list[int]:
        return list(map(int, family(self.pid)))

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)  # first, so that it starts no others
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in reversed(self._processes()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """As the kernel does it when memory is gone: all at once, and nothing is tidied."""
        self.freeze()
        pids = self._processes()
        end(*pids)
        wait_until(lambda: all(map(self._is_gone, pids)), START_SECONDS)
        # PostgreSQL takes a dead process for alive until its parent, init, has waited for it.
        (self.data / "postmaster.pid").unlink()
        self.pid = 0

    def stop(self) -> None:
        """Tidily, as what it has in shared memory would stay there."""
        if not self.pid:
            return
        self.thaw()
        for how in (signal.SIGINT, signal.SIGQUIT):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, how)
            if wait_until(lambda: self._is_gone(self.pid), 20):
                break
        else:
            self.kill()
        self.pid = 0

    @staticmethod
    def _is_gone(pid: int) -> bool:
        with contextlib.suppress(ChildProcessError):  # of another process
            return os.waitpid(pid, os.WNOHANG) != (0, 0)
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        return True

    def migrate(self) -> None:
        """Makes the database with its tables."""
        self.execute("CREATE DATABASE pamps", database="postgres")
        environment = os.environ | {"PAMPS_DB__uri": self.address}
        subprocess.run([PAMPS, "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL)

    def follow(self, primary: "PostgreSQL") -> None:
        """Makes it a standby of another one, which runs."""
        cluster.ensure_private_folder(self.data)
        options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        cluster.run_as_owner(
            "pg_basebackup", f"--dbname={primary.address}", "-D", self.data, *options
        )
        self.configure()  # the last port in the file counts

    def catch_up(self, primary: "PostgreSQL") -> None:
        """Returns when a standby has all that is stored there by now."""
        ((position,),) = primary.execute("SELECT pg_current_wal_flush_lsn()")
        reached = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
        if not wait_until(lambda: self.execute(reached) == [(True,)], START_SECONDS):
            raise RuntimeError("the standby does not follow")

    def promote(self) -> None:
        """Makes a standby a primary, and returns when it takes writes."""
        self.execute("SELECT pg_promote()", database="postgres")

    def execute(self, *statements: str, database: str = "pamps") -> list[tuple]:
        connection = psycopg2.connect(self.address, dbname=database)
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def running(data: Path, primary: PostgreSQL | None = None, **settings: str) -> Iterator[PostgreSQL]:
    """A server with a migrated database, or a standby of `primary`; removed at the end."""
    server = PostgreSQL(data)
    if primary:
        server.follow(primary)
    else:
        server.make()
    server.configure(fsync="off", **settings)
    try:
        server.start()
        if not primary:
            server.migrate()
        yield server
    finally:
        server.stop()
        subprocess.run(["rm", "-rf", data], check=True)

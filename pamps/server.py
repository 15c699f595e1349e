"""How Pamps is served: a parent process, and workers in which uvicorn runs the application.

On SIGTERM or Ctrl-C each process stops to listen, at once. When all have, every answer says that
its connection ends, so that the client opens the next one elsewhere, and what stays idle is closed.
To close a connection without a word would lose the request that may be on its way just then.
"""

import gc
import logging
import multiprocessing
import os
import resource
import signal
import socket
import sys
import time
from threading import Thread, Timer
from weakref import WeakKeyDictionary

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from pamps.config import settings
from pamps.protocol import IDLE_SECONDS, SETTLE_SECONDS, Protocol

logger = logging.getLogger(__name__)

# How long a worker may take to start, or to answer its parent, before it is replaced. A machine
# that is short of CPU needs half a minute to start one.
ANSWER_SECONDS = 60
# From the end of all work until the end of the process, whatever its threads still wait for.
LEAVE_SECONDS = 3
MAX_FILES = 65536
BACKLOG = 2048


def _has_terminal() -> bool:
    """Whether this process can be ended by closing a terminal, or could if it were still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


class Config(uvicorn.Config):
    """Loads the application without garbage collection: nearly all that it makes is to stay."""

    def load(self) -> None:
        gc.disable()
        super().load()
        gc.collect()
        gc.freeze()  # no later collection looks at it
        gc.enable()


class Workers(Multiprocess):
    """Starts the workers, and replaces those that die, or all of them on SIGHUP."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        # Under nohup, SIGHUP is ignored: then it does not mean the end.
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        self._ends_with_terminal = _has_terminal() and not ignored
        self._asked: WeakKeyDictionary[Process, float] = WeakKeyDictionary()
        super().__init__(config, sockets)

    def terminate_all(self) -> None:
        # A connection that is made from now on would wait for nobody.
        for sock in self.sockets:
            sock.close()
        super().terminate_all()

    def handle_hup(self) -> None:
        if self._ends_with_terminal and not _has_terminal():
            logger.info("the terminal was closed, exiting")
            self.should_exit.set()
        else:
            super().handle_hup()

    def keep_subprocess_alive(self) -> None:
        """Replace workers that are dead or have not answered for too long.

        uvicorn itself would wait for each answer, and meanwhile neither hear a signal nor replace
        another worker.
        """
        if self.should_exit.is_set():
            return  # Ctrl-C is for the workers too, and they may have ended already
        for index, process in enumerate(self.processes):
            if process.process.is_alive() and self._answers(process):
                continue
            process.kill()
            process.join()
            if process.exitcode == STARTUP_FAILURE:
                logger.error("worker %d failed to start, exiting", process.pid)
                self.should_exit.set()
                return
            logger.warning("worker %d died, starting another", process.pid)
            self.processes[index] = Process(self.config, self.sockets)
            self.processes[index].start()

    def _answers(self, process: Process) -> bool:
        """Whether a worker has answered in time, so far; asks it again if it has answered."""
        if process.parent_conn.poll():
            process.parent_conn.recv()
            self._asked.pop(process, None)
        if process not in self._asked:
            process.parent_conn.send(b"ping")
            self._asked[process] = time.monotonic()
        return time.monotonic() - self._asked[process] < ANSWER_SECONDS


def follow_parent() -> None:
    """Leave it to the parent when a worker ends, and end when the parent itself is gone."""
    if parent := multiprocessing.parent_process():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

        def stop() -> None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

        Thread(target=stop, daemon=True).start()


def exit_soon() -> None:
    """End this process soon, even if a thread waits for a database that does not answer."""
    timer = Timer(LEAVE_SECONDS, os._exit, [0])
    timer.daemon = True
    timer.start()


def _allow_many_connections() -> None:
    """Raise the limit of open files: clients that send nothing must not use them up."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MAX_FILES if most == resource.RLIM_INFINITY else min(most, MAX_FILES)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    except (ValueError, OSError) as error:  # macOS has a limit that it does not tell
        logger.debug("cannot raise the limit of open files: %s", error)


def listen(host: str, port: int) -> socket.socket:
    """Take a port. Connections wait until there is a worker. Raises OSError."""
    if ":" not in host:
        return socket.create_server((host, port), backlog=BACKLOG)
    # `::` is every address, of IPv4 too, whatever the system's own default.
    return socket.create_server(
        (host, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
    )


def url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(listener: socket.socket, workers: int) -> None:
    """Serve until SIGTERM, SIGINT or the end of the terminal. Exits with 1 if it cannot start."""
    _allow_many_connections()
    server = settings.server
    config = Config(
        "pamps.app:app",
        workers=workers,
        backlog=BACKLOG,
        http=Protocol,
        ws="none",
        reset_contextvars=True,  # a request knows nothing of the one before it on its connection
        server_header=False,
        lifespan="on",  # else an error at the start would go unnoticed
        timeout_keep_alive=server.keep_alive,
        timeout_worker_healthcheck=ANSWER_SECONDS,
        timeout_graceful_shutdown=(
            SETTLE_SECONDS + IDLE_SECONDS + server.receive_timeout + server.request_timeout
        ),
        # The application has its own of these three.
        log_config=None,
        access_log=False,
        proxy_headers=False,
    )
    processes = Workers(config, [listener])
    processes.run()
    if any(process.exitcode == STARTUP_FAILURE for process in processes.processes):
        sys.exit(1)

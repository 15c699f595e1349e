"""The server: a parent process, and workers in which uvicorn runs the application.

On SIGTERM or Ctrl-C each process closes its listening socket at once. When all have, every response
says `Connection: close`, so that clients open their next connection to another server, and idle
connections are closed. To close a connection without that would lose a request that is on its way.
"""

import logging
import multiprocessing
import os
import resource
import signal
import socket
import time
from threading import Thread, Timer
from weakref import WeakKeyDictionary

import uvicorn
from uvicorn import _subprocess
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from pamps.config import settings
from pamps.protocol import IDLE_SECONDS, SETTLE_SECONDS, HTTPProtocol

logger = logging.getLogger(__name__)

# A worker that has not responded to its parent for so long is replaced. On a machine that is short
# of CPU, a worker takes half a minute to start.
RESPONSE_SECONDS = 60
# How long a stopped process waits for its threads.
EXIT_SECONDS = 3
MAX_FILES = 65536
BACKLOG = 2048


def _has_terminal() -> bool:
    """Tell whether this process has a controlling terminal that is open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


class Workers(Multiprocess):
    """Starts workers, replaces those that die, and replaces all of them on SIGHUP."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        # Under nohup SIGHUP is ignored.
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        self._ends_with_terminal = _has_terminal() and not ignored
        self._pinged_at: WeakKeyDictionary[Process, float] = WeakKeyDictionary()
        super().__init__(config, sockets)

    def terminate_all(self) -> None:
        # No worker would accept new connections: refuse them.
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
        """Replace workers that are dead or have not responded for RESPONSE_SECONDS.

        uvicorn's own method waits for the response of each worker in turn, and meanwhile handles no
        signal and replaces no other worker.
        """
        if self.should_exit.is_set():
            return  # Ctrl-C reaches the workers too, and they may have ended already
        for index, process in enumerate(self.processes):
            if process.process.is_alive() and self._is_responding(process):
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

    def _is_responding(self, process: Process) -> bool:
        """Tell whether a worker is within its time to respond; ping it if it has responded."""
        if process.parent_conn.poll():
            process.parent_conn.recv()
            self._pinged_at.pop(process, None)
        if process not in self._pinged_at:
            process.parent_conn.send(b"ping")
            self._pinged_at[process] = time.monotonic()
        return time.monotonic() - self._pinged_at[process] < RESPONSE_SECONDS


def exit_with_parent() -> None:
    """In a worker, ignore SIGHUP, which is for the parent, and stop when the parent is gone."""
    if parent := multiprocessing.parent_process():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

        def terminate_after_parent() -> None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

        Thread(target=terminate_after_parent, daemon=True).start()


def exit_after_timeout() -> None:
    """Exit after EXIT_SECONDS, even if a thread still waits for the database."""
    timer = Timer(EXIT_SECONDS, os._exit, [0])
    timer.daemon = True
    timer.start()


def _allow_many_connections() -> None:
    """Raise the limit of open files, so that idle clients do not use them up."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MAX_FILES if most == resource.RLIM_INFINITY else min(most, MAX_FILES)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    except (ValueError, OSError) as error:  # macOS has a lower limit than it says
        logger.debug("cannot raise the limit of open files: %s", error)


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port; connections wait until a worker accepts them. Raises OSError."""
    if ":" not in host:
        return socket.create_server((host, port), backlog=BACKLOG)
    # `::` includes all IPv4 addresses, whatever the system's default.
    return socket.create_server(
        (host, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
    )


def url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(listener: socket.socket, workers: int) -> bool:
    """Serve until SIGTERM, SIGINT or the end of the terminal.

    Returns False if a worker could not start.
    """
    _allow_many_connections()
    server = settings.server
    config = uvicorn.Config(
        "pamps.app:app",
        workers=workers,
        backlog=BACKLOG,
        http=HTTPProtocol,
        ws="none",
        reset_contextvars=True,  # else a request has those of the previous one on its connection
        server_header=False,
        lifespan="on",  # else errors in the lifespan are ignored
        timeout_keep_alive=server.keep_alive,
        timeout_worker_healthcheck=RESPONSE_SECONDS,
        timeout_graceful_shutdown=(
            SETTLE_SECONDS + IDLE_SECONDS + server.receive_timeout + server.request_timeout
        ),
        # The application does these itself: logs.py, RequestLogMiddleware, ProxyHeadersMiddleware.
        log_config=None,
        access_log=False,
        proxy_headers=False,
    )
    # Importing the application takes a worker more than ten times as long as all else.
    os.environ["PYTHONSAFEPATH"] = "1"  # or the fork server would import from the current folder
    multiprocessing.set_forkserver_preload(["pamps.preload"])
    _subprocess.spawn = multiprocessing.get_context("forkserver")  # type: ignore[assignment]
    processes = Workers(config, [listener])
    processes.run()
    return all(process.exitcode != STARTUP_FAILURE for process in processes.processes)

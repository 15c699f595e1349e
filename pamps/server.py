"""How Pamps is served: uvicorn, with deadlines for clients and a stop that no client notices.

On SIGTERM or Ctrl-C each process stops to listen, at once. When all have, every answer says that
its connection ends, so that the client opens the next one elsewhere, and what stays idle is closed.
To close a connection without a word would lose the request that may be on its way just then.
"""

import multiprocessing
import os
import resource
import signal
import sys
from threading import Thread, Timer

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess

from pamps.config import settings
from pamps.protocol import IDLE_SECONDS, SETTLE_SECONDS, Protocol

# From the end of all work until the end of the process, whatever its threads still wait for.
LEAVE_SECONDS = 3
MAX_FILES = 65536


class _Workers(Multiprocess):
    def terminate_all(self) -> None:
        # A connection that is made from now on would wait for nobody.
        for sock in self.sockets:
            sock.close()
        super().terminate_all()


def follow_parent() -> None:
    """Has a worker stop when `pamps serve` itself is gone, which else nobody would tell it."""
    if parent := multiprocessing.parent_process():

        def stop() -> None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

        Thread(target=stop, daemon=True).start()


def leave() -> None:
    """Ends this process soon, even if a thread waits for a database that does not answer."""
    timer = Timer(LEAVE_SECONDS, os._exit, [0])
    timer.daemon = True
    timer.start()


def run(host: str, port: int, workers: int) -> None:
    """Serves until SIGTERM or SIGINT. Exits with 1 if it cannot start."""
    # Each connection is a file, and clients that send nothing must not use them up.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MAX_FILES if most == resource.RLIM_INFINITY else min(most, MAX_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    server = settings.server
    config = uvicorn.Config(
        "pamps.app:app",
        host=host,
        port=port,
        workers=workers,
        http=Protocol,
        ws="none",
        reset_contextvars=True,  # a request knows nothing of the one before it on its connection
        server_header=False,
        lifespan="on",  # else an error at the start would go unnoticed
        timeout_graceful_shutdown=(
            SETTLE_SECONDS + IDLE_SECONDS + server.receive_timeout + server.request_timeout
        ),
        # The application has its own of these three.
        log_config=None,
        access_log=False,
        proxy_headers=False,
    )
    if workers > 1:
        processes = _Workers(config, [config.bind_socket()])
        processes.run()
        if any(process.exitcode == STARTUP_FAILURE for process in processes.processes):
            sys.exit(1)
        return
    # uvicorn sends itself the signal again when it has stopped.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run()
    leave()

"""How Pamps is served: uvicorn, with deadlines for clients and a stop that no client notices.

On SIGTERM or Ctrl-C each process stops to listen, at once. When all have, every answer says that
its connection ends, so that the client opens the next one elsewhere, and what stays idle is closed.
To close a connection without a word would lose the request that may be on its way just then.
"""

import multiprocessing
import os
import resource
import signal
import socket
import sys
from asyncio import TimerHandle
from threading import Thread, Timer
from typing import Any

import uvicorn
from fastapi.responses import JSONResponse
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors.multiprocess import Multiprocess

from pamps.config import settings

MAX_HEAD_BYTES = 32 * 1024
# With a body that is refused as too large, or is without end.
MAX_REQUEST_BYTES = 512 * 1024
# Requests that a connection may send before the first is answered. Browsers send one.
MAX_PIPELINED = 16
HEAD_TOO_LARGE = "431 Request Header Fields Too Large"
# From the signal until all processes have stopped to listen: twice as long as uvicorn's parent
# process takes to notice one.
SETTLE_SECONDS = 1
# How long a connection is idle until hardly anything can be on its way to it.
IDLE_SECONDS = 1
# From the end of all work until the end of the process, whatever its threads still wait for.
LEAVE_SECONDS = 3
MAX_FILES = 65536


async def _head_too_large(scope: Any, receive: Any, send: Any) -> None:
    headers = {"Connection": "close"}
    await JSONResponse({"detail": HEAD_TOO_LARGE[4:]}, 431, headers)(scope, receive, send)


class Protocol(HttpToolsProtocol):
    """HTTP/1.1, also for clients that are slow, have no end, or are there when all stops."""

    receive_timeout: int = settings.server.receive_timeout
    # Whether this process is about to end.
    draining = False

    _closing = False
    _deadline: TimerHandle | None = None
    _unread: TimerHandle | None = None
    _in_head = False
    _bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Who takes nothing of an answer is hung up on by the kernel, even after our own end.
            milliseconds = self.receive_timeout * 1000
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        self._expect_request()
        if self.draining:
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._received()
        super().connection_lost(exc)
        if self._unread:
            self._unread.cancel()

    def pause_writing(self) -> None:
        """The client reads more slowly than it asks."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.receive_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread:
            self._unread.cancel()

    def data_received(self, data: bytes) -> None:
        if self._deadline is None:
            self._expect_request()
        self._bytes += len(data)
        super().data_received(data)
        if self._in_head and self._bytes > MAX_HEAD_BYTES:
            self._refuse(HEAD_TOO_LARGE)
        elif self._bytes > MAX_REQUEST_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._bytes > MAX_HEAD_BYTES:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > MAX_HEAD_BYTES:
                self.app = _head_too_large
        super().on_headers_complete()
        if self._closing:
            self.cycle.keep_alive = False
        if len(self.pipeline) > MAX_PIPELINED:
            self.transport.abort()
            raise ConnectionAbortedError  # or all else that it has sent would be read

    def on_message_complete(self) -> None:
        # What comes after its answer gets no other, so that no other deadline begins.
        if not self.cycle.response_complete:
            self._received()
        super().on_message_complete()

    def _expect_request(self) -> None:
        self._deadline = self.loop.call_later(self.receive_timeout, self._too_slow)

    def _received(self) -> None:
        self._bytes = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _too_slow(self) -> None:
        if self._in_head or (self._is_answering and not self.cycle.response_started):
            self._refuse("408 Request Timeout")
        else:
            self.transport.close()

    def _refuse(self, status: str) -> None:
        """An answer to what never became a request."""
        if self.pipeline or (self._in_head and self._is_answering):
            # It would be taken for the answer to the request before.
            self.cycle.keep_alive = False
            return
        body = f'{{"detail":"{status[4:]}"}}'
        headers = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        answer = f"HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n{body}"
        self.transport.write(answer.encode())
        self.transport.close()

    def shutdown(self) -> None:
        Protocol.draining = True
        self.loop.call_later(SETTLE_SECONDS, self._say_so)

    def _say_so(self) -> None:
        self._closing = True
        if self._is_answering and not self.cycle.response_started:
            self.cycle.keep_alive = False
        self.loop.call_later(IDLE_SECONDS, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if not self._in_head and not self._is_answering:
            self.transport.close()


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

"""How Pamps is served: uvicorn, with deadlines for clients and a stop that no client notices.

On SIGTERM or Ctrl-C each process stops to listen, at once. When all have, every answer says that
its connection ends, so that the client opens the next one elsewhere, and what stays idle is closed.
To close a connection without a word would lose the request that may be on its way just then.
"""

import resource
import signal
import sys
from asyncio import TimerHandle
from typing import Any

import uvicorn
from fastapi.responses import JSONResponse
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors.multiprocess import Multiprocess

from pamps.config import settings

MAX_HEAD_BYTES = 32 * 1024
HEAD_TOO_LARGE = "431 Request Header Fields Too Large"
# From the signal until all processes have stopped to listen: twice as long as uvicorn's parent
# process takes to notice one.
SETTLE_SECONDS = 1
# How long a connection is idle until nothing can be on its way to it.
IDLE_SECONDS = 1


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
    _in_head = False
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._received()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deadline is None:
            self._expect_request()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_bytes > MAX_HEAD_BYTES:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > MAX_HEAD_BYTES:
                self.app = _head_too_large
        super().on_headers_complete()
        if self._closing:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._received()
        super().on_message_complete()

    def _expect_request(self) -> None:
        self._deadline = self.loop.call_later(self.receive_timeout, self._too_slow)

    def _received(self) -> None:
        self._head_bytes = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    @property
    def _is_idle(self) -> bool:
        return not self._in_head and (self.cycle is None or self.cycle.response_complete)

    def _too_slow(self) -> None:
        if self._is_idle or (self.cycle and self.cycle.response_started):
            self.transport.close()
        else:
            self._refuse("408 Request Timeout")

    def _refuse(self, status: str) -> None:
        """An answer to what never became a request."""
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
        if not self._is_idle and not self.cycle.response_started:
            self.cycle.keep_alive = False
        self.loop.call_later(IDLE_SECONDS, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self._is_idle:
            self.transport.close()


class _Workers(Multiprocess):
    def terminate_all(self) -> None:
        # A connection that is made from now on would wait for nobody.
        for sock in self.sockets:
            sock.close()
        super().terminate_all()


def run(host: str, port: int, workers: int) -> None:
    """Serves until SIGTERM or SIGINT. Exits with 1 if it cannot start."""
    # Each connection is a file, and clients that send nothing must not use them up.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server = settings.server
    config = uvicorn.Config(
        "pamps.app:app",
        host=host,
        port=port,
        workers=workers,
        http=Protocol,
        ws="none",
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

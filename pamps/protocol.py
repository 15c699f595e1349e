"""HTTP/1.1 as uvicorn speaks it, strictly, and with deadlines for clients.

A request has one meaning, whatever stands before Pamps: what proxies may understand differently is
refused. Trailers are discarded, and no other protocol is ever spoken on a connection.
"""

import logging
import re
import socket
from asyncio import TimerHandle
from http import HTTPStatus
from typing import Any

import httptools
from starlette.responses import JSONResponse
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pamps.config import settings

logger = logging.getLogger(__name__)

# Of a request line with its headers and trailers.
MAX_HEAD_BYTES = 32 * 1024
# With a body that is refused as too large, or is without end.
MAX_REQUEST_BYTES = 512 * 1024
# Requests that a connection may send before the first is answered. Browsers send one.
MAX_PIPELINED = 16
# From the signal until all processes have stopped to listen: twice as long as uvicorn's parent
# process takes to notice one.
SETTLE_SECONDS = 1
# How long a connection is idle until hardly anything can be on its way to it.
IDLE_SECONDS = 1
# RFC 3986: a host's name or address, and a port.
HOST = re.compile(rb"[\w.~!$&'()*+,;=%:\[\]-]*", re.ASCII)


class Refused(Exception):
    """What has arrived is no request that Pamps could answer."""

    def __init__(self, status: HTTPStatus, detail: str = "") -> None:
        self.status, self.detail = status, detail or status.phrase


class Protocol(HttpToolsProtocol):
    """A connection, also of a client that is slow, has no end, or is there when all stops."""

    receive_timeout = settings.server.receive_timeout
    # Whether this process is about to end.
    draining = False

    _closing = False
    _deadline: TimerHandle | None = None
    _unread: TimerHandle | None = None
    _in_head = False
    _refused = False
    _bytes = 0
    _head_bytes = 0
    # Requests that are not answered yet.
    _cycles: list[Any] = []  # noqa: RUF012 - replaced, and never changed

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
        # uvicorn tells only the latest request, and an earlier one would write to nobody.
        for cycle in self._cycles:
            cycle.disconnected = True
            cycle.message_event.set()
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
        self._unset_keepalive_if_required()
        if self._deadline is None:
            self._expect_request()
        self._bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            cause = error.__context__  # what a callback has raised
            if not isinstance(cause, Refused):
                cause = Refused(HTTPStatus.BAD_REQUEST, f"Invalid HTTP request: {error}")
            self._refuse(cause)
        if self._in_head and self._bytes > MAX_HEAD_BYTES:
            self._refuse(Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
        elif self._bytes > MAX_REQUEST_BYTES:
            self.transport.close()

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                # The parser stops behind the head of a request that offers another protocol, and
                # would take its body for the next request. So it reads the head again, without
                # the offer, which a server may ignore (RFC 9110, section 7.8).
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)
            return
        # A trailer, which is discarded: it could contradict what a proxy has checked. The parser
        # itself would obey this one, and read nothing more on a connection that others may share.
        if name.lower() in (b"connection", b"proxy-connection"):
            raise Refused(HTTPStatus.BAD_REQUEST, "Connection cannot be a trailer")
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > MAX_HEAD_BYTES:
            raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._check_head()
        if self.parser.should_upgrade():
            return  # and is read again
        self._in_head = False
        super().on_headers_complete()
        waiting = [cycle for cycle in self._cycles if not cycle.response_complete]
        self._cycles = [*waiting, self.cycle]
        if self._closing:
            self.cycle.keep_alive = False
        if len(self.pipeline) > MAX_PIPELINED:
            self.transport.abort()
            raise ConnectionAbortedError  # or all else that it has sent would be read

    def _check_head(self) -> None:
        """Raise Refused for what has no meaning, or more than one."""
        version, hosts, size = self.parser.get_http_version(), 0, len(self.url)
        if version not in ("1.0", "1.1"):
            raise Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
        if self.parser.get_method() == b"CONNECT":
            raise Refused(HTTPStatus.NOT_IMPLEMENTED, "Pamps is no proxy")
        for name, value in self.headers:
            size += len(name) + len(value) + 4
            if name == b"host":
                hosts += 1
                if not HOST.fullmatch(value):
                    raise Refused(HTTPStatus.BAD_REQUEST, "The Host header is invalid")
            elif name == b"transfer-encoding":
                if version == "1.0":  # which does not know it (RFC 9112, section 6.1)
                    detail = "Transfer-Encoding needs HTTP/1.1"
                    raise Refused(HTTPStatus.BAD_REQUEST, detail)
                if value.lower() != b"chunked":
                    detail = "The only Transfer-Encoding is chunked"
                    raise Refused(HTTPStatus.NOT_IMPLEMENTED, detail)
        if size > MAX_HEAD_BYTES:
            raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if hosts > 1 or (not hosts and version != "1.0"):  # RFC 9112, section 3.2
            raise Refused(HTTPStatus.BAD_REQUEST, "There must be one Host header")
        self._head_bytes = size

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
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
        self._deadline = None
        if self._in_head or (self._is_answering and self.cycle.more_body):
            self._refuse(Refused(HTTPStatus.REQUEST_TIMEOUT))
        elif not self._is_answering:
            self.transport.close()

    def _refuse(self, refused: Refused) -> None:
        """Answer what never became a request, once, and close the connection."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        status, detail = refused.status, refused.detail
        logger.info("refused: %s", detail, extra={"address": self.client and self.client[0]})
        answer: Any = JSONResponse({"detail": detail}, status, {"Connection": "close"})
        if self._in_head and self._is_answering:
            self.cycle.keep_alive = False  # an answer now would be taken for that one
        elif self.pipeline and not self._in_head:
            self.pipeline[0] = (self.cycle, answer)
        elif self.cycle and self.cycle.response_started and not self._in_head:
            self.transport.close()
        else:
            if self._is_answering:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
            fields = self.server_state.default_headers + answer.raw_headers
            lines += [b"%b: %b" % field for field in fields]
            self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + answer.body)
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

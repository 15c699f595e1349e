"""uvicorn's HTTP/1.1 protocol, made strict, and with deadlines for slow clients.

A request that a proxy in front could understand differently is refused, as such requests allow
request smuggling. Trailers are discarded, and a connection is never upgraded to another protocol.
"""

import logging
import re
import socket
from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import cast

import httptools
from starlette.responses import JSONResponse
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from pamps.config import settings

logger = logging.getLogger(__name__)

# The longest request line with headers and trailers.
MAX_HEAD_BYTES = 32 * 1024
# The longest request. A client that goes on sending after a 413 (BodyLimitMiddleware) is cut off.
MAX_REQUEST_BYTES = 512 * 1024
# How many more requests a client may send before the response to the first. Browsers send none.
MAX_PIPELINED = 16
# Wait this long after the signal to stop, so that all workers have closed their listening sockets:
# twice as long as uvicorn's parent process takes to notice a signal.
SETTLE_SECONDS = 1
# Idle for so long: assume that no request is in transit.
IDLE_SECONDS = 1
# A host name or address, and a port (RFC 3986, section 3.2).
HOST = re.compile(rb"[\w.~!$&'()*+,;=%:\[\]-]*", re.ASCII)


class ProtocolError(Exception):
    """A request that the protocol refuses, with the status and detail of the response."""

    def __init__(self, status: HTTPStatus, detail: str = "") -> None:
        self.status, self.detail = status, detail or status.phrase


class HTTPProtocol(HttpToolsProtocol):
    """One connection; it is closed if the client sends or reads too slowly, or the server stops."""

    receive_timeout = settings.server.receive_timeout
    # Whether this process is about to stop.
    draining = False
    _closing = False
    _read_deadline: TimerHandle | None = None
    _write_deadline: TimerHandle | None = None
    _in_head = False
    _refused = False
    _bytes = 0
    _head_bytes = 0
    # The requests in progress.
    _cycles: tuple[RequestResponseCycle, ...] = ()

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # The kernel closes the connection if the client reads nothing of a response, even after
            # this process has ended.
            milliseconds = self.receive_timeout * 1000
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        self._begin_deadline()
        if self.draining:
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_deadline()
        # uvicorn tells only the latest request that the client has gone.
        for cycle in self._cycles:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)
        if self._write_deadline:
            self._write_deadline.cancel()

    def pause_writing(self) -> None:
        """Close the connection after `receive_timeout` if the client does not read responses."""
        super().pause_writing()
        self._write_deadline = self.loop.call_later(self.receive_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_deadline:
            self._write_deadline.cancel()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._read_deadline is None:
            self._begin_deadline()
        self._bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            cause = error.__context__  # raised by a callback of the parser
            if not isinstance(cause, ProtocolError):
                cause = ProtocolError(HTTPStatus.BAD_REQUEST, f"Invalid HTTP request: {error}")
            self._refuse(cause)
        if self._in_head and self._bytes > MAX_HEAD_BYTES:
            self._refuse(ProtocolError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
        elif self._bytes > MAX_REQUEST_BYTES:
            self.transport.close()

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                # The parser stops after the head of a request with `Upgrade`, and would take its
                # body for the next request. So the head is parsed again without that header, which
                # a server may ignore (RFC 9110, section 7.8).
                version = self.parser.get_http_version().encode()
                lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
                lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
                data = b"\r\n".join([*lines, b"", data[upgrade.args[0] :]])
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)
            return
        # This is a trailer, which is discarded: it could contradict what a proxy has checked. The
        # parser itself obeys `Connection` and would read nothing more on a connection that a proxy
        # may share between clients.
        if name.lower() in (b"connection", b"proxy-connection"):
            raise ProtocolError(HTTPStatus.BAD_REQUEST, "Connection cannot be a trailer")
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ProtocolError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._check_head()
        if self.parser.should_upgrade():
            return  # the head will be parsed again
        self._in_head = False
        super().on_headers_complete()
        waiting = (cycle for cycle in self._cycles if not cycle.response_complete)
        self._cycles = (*waiting, self.cycle)
        if self._closing:
            self.cycle.keep_alive = False
        if len(self.pipeline) > MAX_PIPELINED:
            self.transport.abort()
            raise ConnectionAbortedError  # else the parser would read the rest of the data

    def _check_head(self) -> None:
        """Raise ProtocolError for a request that has no meaning, or more than one."""
        version, hosts, size = self.parser.get_http_version(), 0, len(self.url)
        if version not in ("1.0", "1.1"):
            raise ProtocolError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
        if self.parser.get_method() == b"CONNECT":
            raise ProtocolError(HTTPStatus.NOT_IMPLEMENTED, "CONNECT is not supported")
        for name, value in self.headers:
            size += len(name) + len(value) + 4
            if name == b"host":
                hosts += 1
                if not HOST.fullmatch(value):
                    raise ProtocolError(HTTPStatus.BAD_REQUEST, "The Host header is invalid")
            elif name == b"transfer-encoding":
                if version == "1.0":  # RFC 9112, section 6.1
                    raise ProtocolError(HTTPStatus.BAD_REQUEST, "Transfer-Encoding needs HTTP/1.1")
                if value.lower() != b"chunked":
                    detail = "The only Transfer-Encoding is chunked"
                    raise ProtocolError(HTTPStatus.NOT_IMPLEMENTED, detail)
        if size > MAX_HEAD_BYTES:
            raise ProtocolError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if hosts > 1 or (not hosts and version != "1.0"):  # RFC 9112, section 3.2
            raise ProtocolError(HTTPStatus.BAD_REQUEST, "There must be one Host header")
        self._head_bytes = size

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        # If the response was already sent, the deadline goes on; otherwise a slow upload would get
        # a new one with every chunk.
        if not self.cycle.response_complete:
            self._end_deadline()
        super().on_message_complete()

    def _begin_deadline(self) -> None:
        self._read_deadline = self.loop.call_later(self.receive_timeout, self._too_slow)

    def _end_deadline(self) -> None:
        self._bytes = 0
        if self._read_deadline is not None:
            self._read_deadline.cancel()
            self._read_deadline = None

    @property
    def _is_responding(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _too_slow(self) -> None:
        self._read_deadline = None
        if self._in_head or (self._is_responding and self.cycle.more_body):
            self._refuse(ProtocolError(HTTPStatus.REQUEST_TIMEOUT))
        elif not self._is_responding:
            self.transport.close()

    def _refuse(self, error: ProtocolError) -> None:
        """Respond to a request that cannot be parsed, once, and close the connection."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        address = self.client and self.client[0]
        logger.info("refused: %s", error.detail, extra={"address": address})
        response = JSONResponse({"detail": error.detail}, error.status, {"Connection": "close"})
        if self._in_head and self._is_responding:
            # The client would take a response now for that to its previous request.
            self.cycle.keep_alive = False
        elif self.pipeline and not self._in_head:
            self.pipeline[0] = (self.cycle, cast(ASGI3Application, response))
        elif self.cycle and self.cycle.response_started and not self._in_head:
            self.transport.close()
        else:
            if self._is_responding:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            lines = [f"HTTP/1.1 {error.status.value} {error.status.phrase}".encode()]
            fields = self.server_state.default_headers + response.raw_headers
            lines += [b"%b: %b" % field for field in fields]
            self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + response.body)
            self.transport.close()

    def shutdown(self) -> None:
        """End the connection in steps, so that no request is lost (see pamps/server.py)."""
        HTTPProtocol.draining = True
        self.loop.call_later(SETTLE_SECONDS, self._announce_close)

    def _announce_close(self) -> None:
        """Let all responses from now on say `Connection: close`."""
        self._closing = True
        if self._is_responding and not self.cycle.response_started:
            self.cycle.keep_alive = False
        self.loop.call_later(IDLE_SECONDS, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if not self._in_head and not self._is_responding:
            self.transport.close()

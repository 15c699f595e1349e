"""Services for `pamps check`: Pamps with changed answers, and what is no service at all."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx

from tests.helpers import Client

# Answers a request itself, or changes an answer of Pamps, or gives None.
Change = Callable[["Exchange"], httpx.Response | None]


class Exchange:
    """A request, and the answer of Pamps to it, which is asked for only if somebody wants it."""

    def __init__(self, pamps: Client, request: httpx.Request) -> None:
        self.request, self.method, self.path = request, request.method, request.url.path
        self._pamps = pamps

    @property
    def route(self) -> str:
        """The method and the path, with names and ids as N."""
        parts = (
            "N" if part.isdecimal() or part.startswith("check_") else part
            for part in self.path.split("/")
        )
        return f"{self.method} {'/'.join(parts)}"

    def answer(self) -> httpx.Response:
        request = self.request
        headers = {
            name: value
            for name, value in request.headers.items()
            if name in ("authorization", "content-type")
        }
        path = request.url.raw_path.decode()
        self._pamps.cookies.clear()
        return self._pamps.request(
            request.method, path, headers=headers, content=request.content, follow_redirects=False
        )


@contextlib.contextmanager
def serving(pamps: Client, change: Change = lambda exchange: None) -> Iterator[str]:
    """Serve Pamps with changed answers, and give the address."""

    class Handler(BaseHTTPRequestHandler):
        def handle_request(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            url = f"http://pamps{self.path}"
            headers = dict(self.headers.items())
            request = httpx.Request(self.command, url, headers=headers, content=content)
            exchange = Exchange(pamps, request)
            answer = change(exchange) or exchange.answer()
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name not in ("content-length", "connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = handle_request

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def answering(content: bytes, *, stays_open: bool = False) -> Iterator[str]:
    """Answer each connection with these bytes, whatever is asked, and give the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                connection.recv(65536)
                with contextlib.suppress(OSError):  # when the client has seen enough
                    connection.sendall(content)
                    if not stays_open:
                        connection.shutdown(socket.SHUT_WR)

    thread = Thread(target=accept)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in connections:
            connection.close()

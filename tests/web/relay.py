"""A way to the server on which answers are held up or lost."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread


class Relay:
    """Passes connections on to the port `upstream`, from one that stays the same."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.request, self.loses, self.cuts = "", False, False
        self.arrived, self.released = Event(), Event()

    def hold(self, request: str) -> None:
        """Hold up the answers to requests that begin with that, like "POST /post/"."""
        self.request, self.loses, self.cuts = request, False, False
        self.released.clear()

    def lose(self, request: str) -> None:
        """Close the connections of such requests instead of passing the answers on."""
        self.request, self.loses, self.cuts = request, True, False

    def cut(self, request: str) -> None:
        """Leave out the end of the answers to such requests."""
        self.request, self.loses, self.cuts = request, True, True

    def release(self) -> None:
        self.request = ""
        self.released.set()

    def accept(self) -> None:
        # Until the listener is closed.
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                Thread(target=self._connect, args=[client], daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with (
            client,
            suppress(OSError),
            socket.create_connection(("127.0.0.1", self.upstream)) as server,
        ):
            asked = Event()
            thread = Thread(target=self._answers, args=[client, server, asked], daemon=True)
            thread.start()
            with suppress(OSError):
                while data := client.recv(65536):
                    if self.request and data.startswith(self.request.encode()):
                        asked.set()
                    server.sendall(data)
            _end(server)
            thread.join()

    def _answers(self, client: socket.socket, server: socket.socket, asked: Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if asked.is_set():
                    asked.clear()
                    self.arrived.set()
                    if self.loses:
                        client.sendall(data[:-1] if self.cuts else b"")
                        break
                    self.released.wait()
                client.sendall(data)
        _end(client)


def _end(connection: socket.socket) -> None:
    """Have the thread that reads from it read its end."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def relay(upstream: int) -> Iterator[Relay]:
    relay = Relay(upstream)
    thread = Thread(target=relay.accept, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.release()
        _end(relay.listener)
        thread.join()
        relay.listener.close()

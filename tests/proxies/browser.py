"""Chromium without a window, driven over its DevTools protocol."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from typing import Any, BinaryIO

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --ignore-certificate-errors "
    "--remote-debugging-pipe"
)
SECONDS = 20


class Page:
    """A page of a browser, which reads commands from one pipe and writes events to another."""

    def __init__(self, commands: BinaryIO, events: BufferedReader) -> None:
        self.commands, self.events = commands, events
        self.number, self.session, self.unread = 0, {}, b""
        target = self.send("Target.createTarget", url="about:blank")
        attached = self.send("Target.attachToTarget", flatten=True, **target)
        self.session = attached

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Have a command done; gives its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters} | self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        while True:
            while b"\0" not in self.unread:
                self.unread += self.events.read1()
            text, _, self.unread = self.unread.partition(b"\0")
            answer = json.loads(text)
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def wait_for(self, expression: str) -> Any:
        """What an expression gives, once that is true."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            result = self.send("Runtime.evaluate", expression=expression)["result"]
            if result.get("subtype") != "error" and result.get("value"):
                return result["value"]
        raise AssertionError(f"never true: {expression}")

    def click(self, element: str) -> None:
        self.wait_for(f"({element}).click() || true")

    def type(self, element: str, text: str) -> None:
        """Replace what is in a field, as by a keyboard."""
        self.wait_for(f"({element}).focus() || ({element}).select() || true")
        self.send("Input.insertText", text=text)


@contextmanager
def chromium(address: str) -> Iterator[Page]:
    """A page at an address."""
    (their_commands, commands), (events, their_events) = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # Chromium reads its file 3 and writes its file 4, and ends when they are closed.
        shell = f'exec chromium {FLAGS} "$@" 3<&{their_commands} 4>&{their_events}'
        with (
            subprocess.Popen(
                ["bash", "-c", shell, "bash", f"--user-data-dir={folder}"],
                pass_fds=(their_commands, their_events),
                stderr=subprocess.DEVNULL,
            ),
            os.fdopen(commands, "wb") as commands_file,
            os.fdopen(events, "rb") as events_file,
        ):
            os.close(their_commands)
            os.close(their_events)
            page = Page(commands_file, events_file)
            page.send("Page.navigate", url=address)
            yield page

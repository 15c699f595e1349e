"""Streams of events, as clients read them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import httpx

from tests.helpers import User

# After so many comments that keep the connection open, 15 s apart, an event does not come any more.
MAX_PINGS = 4


class Event(NamedTuple):
    kind: str
    data: dict
    id: str


class Events(Iterator[Event]):
    """The events of a response, each as soon as it comes."""

    def __init__(self, response: httpx.Response) -> None:
        self.lines = response.iter_lines()
        # What a client remembers: the latest id, and when to come back.
        self.id, self.retry = "", 0

    def __next__(self) -> Event:
        fields: dict[str, str] = {}
        pings = 0
        while True:
            line = next(self.lines)
            pings += line.startswith(":")
            assert pings < MAX_PINGS, "no event comes"
            if line:
                name, _, fields[name] = line.partition(": ")
                self.retry = int(fields.get("retry", self.retry))
                continue
            self.id = fields.get("id", self.id)
            if "data" in fields:
                return Event(fields["event"], json.loads(fields["data"]), self.id)
            fields = {}

    def kinds(self, number: int) -> list[str]:
        return [next(self).kind for _ in range(number)]


@contextmanager
def stream(
    server: httpx.Client, user: User | None = None, last: str = "", **params: str
) -> Iterator[Events]:
    """A stream of a user, or of nobody, that has begun."""
    headers = {"Authorization": user.headers["Authorization"]} if user else {}
    headers |= {"Last-Event-ID": last} if last else {}
    with server.stream("GET", "/live/", headers=headers, params=params) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        events = Events(response)
        assert next(events).kind == "open"
        assert events.retry
        yield events

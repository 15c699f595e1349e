"""What the scenarios act on: PostgreSQL, Pamps and its users."""

import contextlib
import itertools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tests.faults.clients import Client, Record
from tests.faults.servers import Pamps
from tests.postgresql import PostgreSQL

ACCOUNTS = 16


@dataclass
class World:
    database: PostgreSQL
    pamps: Pamps
    signed_up: int = 0
    known: list[Client] = field(default_factory=list)

    def client(self, username: str = "") -> Client:
        return Client(self.pamps.port, username)

    def newcomers(self, count: int) -> list[Client]:
        """So many new accounts, each with a client that is signed in."""
        first = self.signed_up
        self.signed_up += max(0, count)
        clients = [self.client(f"user{n}") for n in range(first, self.signed_up)]
        for client in clients:
            client.sign_up()
        return clients

    def users(self, count: int) -> list[Client]:
        """So many clients that are signed in, to a few accounts that all scenarios share."""
        self.known += self.newcomers(min(count, ACCOUNTS) - len(self.known))
        clients = []
        for account in itertools.islice(itertools.cycle(self.known), count):
            client = self.client(account.username)
            client.id, client.token = account.id, account.token
            clients.append(client)
        return clients

    def lost(self, record: Record) -> list[str]:
        """The texts of posts that were acknowledged and are not there."""
        stored = dict(self.database.execute("SELECT text, id FROM post"))
        return [text for text, id_ in record.acknowledged.items() if stored.get(text) != id_]


class Ground:
    """Where worlds are made, each from a copy of one cluster."""

    def __init__(self, folder: Path, *, share: bool, **settings: str) -> None:
        self.folder, self.share, self.settings = folder, share, settings
        self._shared = contextlib.ExitStack()
        self._world: World | None = None

    @cached_property
    def template(self) -> Path:
        """A cluster with a migrated database."""
        server = PostgreSQL(self.folder / "template")
        server.make()
        server.configure(fsync="off")
        server.start()
        try:
            server.execute("CREATE DATABASE pamps", database="postgres")
            Pamps(server.address, self.folder / "template.log").run("migrate")
        finally:
            server.stop()
        return server.data

    @contextlib.contextmanager
    def postgresql(self, data: Path | None = None, **settings: str) -> Iterator[PostgreSQL]:
        server = PostgreSQL(data or self.folder / "data")
        subprocess.run(["cp", "-a", self.template, server.data], check=True)
        server.configure(fsync="on", **settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()
            subprocess.run(["rm", "-rf", server.data], check=True)

    @contextlib.contextmanager
    def serving(self, server: PostgreSQL, **settings: str) -> Iterator[World]:
        pamps = Pamps(server.address, self.folder / "pamps.log", **self.settings | settings)
        pamps.log.write_bytes(b"")
        try:
            pamps.start()
            yield World(server, pamps)
        finally:
            pamps.kill()

    @contextlib.contextmanager
    def new_world(
        self, postgresql: dict[str, str] | None = None, **settings: str
    ) -> Iterator[World]:
        """PostgreSQL with these settings, and Pamps with those."""
        with (
            self.postgresql(**postgresql or {}) as server,
            self.serving(server, **settings) as world,
        ):
            yield world

    @contextlib.contextmanager
    def world(self) -> Iterator[World]:
        """One with the usual settings: a new one, or if it is shared the last one."""
        if not self.share:
            with self.new_world() as world:
                yield world
            return
        if self._world is None:
            self._world = self._shared.enter_context(self.new_world())
        yield self._world

    def clear(self) -> None:
        """The next world is a new one."""
        self._world = None
        self._shared.close()

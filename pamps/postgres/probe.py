"""Asking a server in the background whether it works."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

from pamps.postgres.arguments import Arguments, count_addresses
from pamps.postgres.connection import Connection, Server

T = TypeVar("T")

# After how many seconds without an answer a server counts as gone. A busy one takes less.
ANSWER_SECONDS = 1.5
# If waiting takes so much longer, it is this process that gets no CPU, and the answer may be there.
STALL_SECONDS = 0.25
# How long to wait for a connection to each of its addresses, in seconds.
CONNECT_SECONDS = 2


class Probe:
    """A connection of its own to a server, for questions that no request has to wait for."""

    def __init__(self, arguments: Arguments) -> None:
        self._server = Server({**arguments, "connect_timeout": CONNECT_SECONDS})
        self._connect_seconds = CONNECT_SECONDS * count_addresses(arguments)
        self._connection: Connection | None = None

    async def ask(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        """Return the answer, on a new connection if there is none. Raises psycopg.Error.

        Raises TimeoutError for a server that does not answer in time.
        """
        limit = ANSWER_SECONDS + (0 if self._connection else self._connect_seconds)
        task = asyncio.create_task(self._ask(question))
        try:
            waited = limit + STALL_SECONDS
            while not task.done() and waited >= limit + STALL_SECONDS:
                started = monotonic()
                await asyncio.wait([task], timeout=limit)
                waited = monotonic() - started
        finally:
            if not task.done():
                self._abort(task)
        if not task.done():
            raise TimeoutError(f"it does not answer within {ANSWER_SECONDS} s")
        return task.result()

    async def _ask(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            if self._connection is None:
                self._connection = await self._server.connect()
            return await question(self._connection)
        except BaseException:
            if self._connection:
                await self._connection.close()
            self._connection = None
            raise

    def _abort(self, task: asyncio.Task[T]) -> None:
        """End a question that has no answer. To cancel it would wait for the server."""
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        if self._connection:
            self._connection.abort()
        else:
            task.cancel()
        self._connection = None

    @property
    def longest_seconds(self) -> float:
        """How long a question takes at most."""
        return ANSWER_SECONDS + STALL_SECONDS + self._connect_seconds

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

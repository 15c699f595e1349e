"""One object for each event loop, and results that are kept in it."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One object for each event loop, such as a limiter, a task or a connection.

    A server has one loop. `TestClient(app)` without `with` makes one for each request, and tests
    may run several in threads.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[asyncio.AbstractEventLoop, T] = {}

    def get(self) -> T:
        """Return the object of the running loop; make it at the first call."""
        loop = asyncio.get_running_loop()
        if loop not in self._made:
            for other in list(self._made):
                if other.is_closed():
                    self._made.pop(other, None)  # another thread may have removed it
            self._made[loop] = self._make()
        return self._made[loop]

    def forget(self) -> None:
        """Remove the object of the running loop, so that the next `get` makes another."""
        self._made.pop(asyncio.get_running_loop(), None)


class KeptResult(Generic[T]):
    """The result of a slow query, which is kept for `KEPT` times as long as the query took.

    So it is always recent if the query is quick, and a slow query, however often its result is
    needed, runs for at most 2 % of the time. It belongs to one event loop.
    """

    KEPT = 50

    def __init__(self, query: Callable[[], Awaitable[T]]) -> None:
        self._query = query
        self._lock = asyncio.Lock()
        self._expires = -math.inf

    async def get(self) -> T:
        """Return the result; query it if it has expired, once for all who wait for it."""
        async with self._lock:
            started = monotonic()
            if started >= self._expires:
                self._result = await self._query()
                finished = monotonic()
                self._expires = finished + self.KEPT * (finished - started)
            return self._result

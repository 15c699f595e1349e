"""One object for each event loop, and results that are kept or shared in it."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
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


class Batch(Generic[T]):
    """Combine calls: while one is in progress, the keys of all others wait for the next."""

    def __init__(self, call: Callable[[list[int]], Awaitable[T]]) -> None:
        self._call = call
        self._keys: set[int] = set()
        self._next: asyncio.Future[T] | None = None
        self._runner: asyncio.Task[None] | None = None

    async def result(self, keys: Iterable[int]) -> T:
        """Return what a call returns that begins now or later, and has these keys among others."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        self._keys.update(keys)
        future = self._next
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return await asyncio.shield(future)

    async def _run(self) -> None:
        while future := self._next:
            keys, self._keys, self._next = sorted(self._keys), set(), None
            try:
                future.set_result(await self._call(keys))
            except Exception as error:
                future.set_exception(error)
                future.exception()  # those who waited for it may be gone
        self._runner = None

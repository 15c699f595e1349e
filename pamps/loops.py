"""One of something for each event loop."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """What asyncio lets only one event loop use: a limiter, a task, a connection.

    A server has one loop. `TestClient(app)` without `with` makes one for each request, and tests
    may run several in threads.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[asyncio.AbstractEventLoop, T] = {}

    def get(self) -> T:
        """Return the one of the running loop; make it if need be."""
        loop = asyncio.get_running_loop()
        if loop not in self._made:
            for other in list(self._made):
                if other.is_closed():
                    self._made.pop(other, None)  # another thread may have done it
            self._made[loop] = self._make()
        return self._made[loop]

    def forget(self) -> None:
        """Make another one for the running loop when it is needed."""
        self._made.pop(asyncio.get_running_loop(), None)

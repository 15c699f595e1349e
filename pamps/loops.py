"""One object for each event loop."""

import asyncio
from collections.abc import Callable
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

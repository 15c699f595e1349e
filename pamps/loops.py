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

    def __init__(self, make: Callable[[], T], discard: Callable[[T], None] | None = None) -> None:
        self._make, self._discard = make, discard
        self._made: dict[asyncio.AbstractEventLoop, T] = {}

    def get(self) -> T:
        """Give that of the running loop, made when it is first asked for."""
        loop = asyncio.get_running_loop()
        if loop not in self._made:
            self._discard_closed()
            self._made[loop] = self._make()
        return self._made[loop]

    def end(self) -> None:
        """Discard that of the running loop, and of those that are closed."""
        self._discard_of(asyncio.get_running_loop())
        self._discard_closed()

    def _discard_closed(self) -> None:
        for loop in list(self._made):
            if loop.is_closed():
                self._discard_of(loop)

    def _discard_of(self, loop: asyncio.AbstractEventLoop) -> None:
        # Another thread may be at it too.
        made = self._made.pop(loop, None)
        if made is not None and self._discard:
            self._discard(made)

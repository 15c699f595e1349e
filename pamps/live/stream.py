"""What one client of `/live/` is sent."""

import asyncio
from time import monotonic

from pamps.models.event import BEGIN, Position

# A client for whom more waits than this does not read. It is cut off, and comes back by the id of
# the latest event that it has read.
MAX_WAITING = 500


class Stream:
    """What waits to be sent to one client, and whether there will be more.

    It takes one of the places of its `caller`. `user_id` and `session_id` are None for an anonymous
    one, which ends with the server only.
    """

    __slots__ = (
        *("caller", "user_id", "session_id", "sent", "is_lost", "after", "joined", "sent_at"),
        *("_is_over", "_wakened", "_waiting"),
    )

    def __init__(
        self,
        caller: str,
        user_id: int | None,
        session_id: int | None,
        *,
        sent: Position | None,
        is_lost: bool,
    ) -> None:
        self.caller, self.user_id, self.session_id = caller, user_id, session_id
        # The position that a client who comes back has sent, or whether that is not known any more.
        self.sent, self.is_lost = sent, is_lost
        # The client needs nothing up to `after`, and is handed out nothing up to `joined`.
        self.after = self.joined = sent or BEGIN
        self.sent_at = monotonic()
        self._waiting: list[bytes] = []
        self._wakened: asyncio.Future[None] | None = None
        self._is_over = False

    def put(self, content: bytes) -> None:
        """Send something to the client, after what waits already."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.clear()
            self._is_over = True
        if not self._is_over:
            self._waiting.append(content)
        self._wake()

    def ping(self, content: bytes) -> None:
        """Send something that keeps the connection open."""
        self.sent_at = monotonic()
        self.put(content)

    def end(self, farewell: bytes = b"") -> None:
        """End the stream, after what waits already."""
        if farewell:
            self.put(farewell)
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        if self._wakened and not self._wakened.done():
            self._wakened.set_result(None)

    async def next(self) -> bytes:
        """Return what waits, as soon as there is something; nothing at the end."""
        while not self._waiting and not self._is_over:
            self._wakened = asyncio.get_running_loop().create_future()
            await self._wakened
            self._wakened = None
        content = b"".join(self._waiting)
        self._waiting.clear()
        self.sent_at = monotonic()
        return content

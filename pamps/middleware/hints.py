"""Hints to streams of events that something was stored."""

from starlette.types import Message, Receive, Scope, Send

from pamps.live.hints import give_hint
from pamps.middleware import BaseMiddleware


class HintMiddleware(BaseMiddleware):
    """Tell all processes after each request that may have stored something."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_hint(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:
                give_hint()
            await send(message)

        reads = scope["method"] in ("GET", "OPTIONS")
        await self.app(scope, receive, send if reads else send_and_hint)

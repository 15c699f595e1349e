"""Streams of events, outside of all that is for ordinary requests."""

import asyncio

from starlette.types import Receive, Scope, Send

from pamps.live.content import content
from pamps.live.hub import hubs
from pamps.live.stream import Stream
from pamps.middleware import BaseMiddleware
from pamps.state import request_state


class StreamMiddleware(BaseMiddleware):
    """Send events on the stream that a route has opened, after all layers below have ended.

    The route responds with a `StreamHead`. Kept for as long as a stream, what those layers have in
    memory would take more than the stream itself.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = request_state(scope)
        try:
            await self.app(scope, receive, send)
            if state.stream and not state.is_head:
                await _send_events(state.stream, receive, send)
        finally:
            if state.stream:
                hubs.get().leave(state.stream)


async def _send_events(stream: Stream, receive: Receive, send: Send) -> None:
    async def end_when_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        stream.end()

    gone = asyncio.create_task(end_when_gone())
    try:
        async for events in content(stream):
            await send({"type": "http.response.body", "body": events, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        gone.cancel()

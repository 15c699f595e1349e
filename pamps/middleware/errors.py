"""Errors that no exception handler has turned into a response."""

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps.database_errors import is_unavailable
from pamps.errors import error_response, unavailable_response
from pamps.state import request_state

logger = logging.getLogger(__name__)


class ErrorMiddleware:
    """Respond to errors that no exception handler has: with 503 to those of the database, else 500.

    Middleware raises errors of the database, too, such as at the COMMIT of a keyed request. All
    responses are held back for `RequestState.delay` seconds.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_delayed(message: Message) -> None:
            nonlocal started
            if not started and (seconds := request_state(scope).delay):
                await asyncio.sleep(seconds)
            started = True
            await send(message)

        try:
            await self.app(scope, receive, send_delayed)
        except Exception as error:
            if is_unavailable(error) and not started:
                await unavailable_response(error)(scope, receive, send)
                return
            logger.exception("request failed")
            if started:
                raise
            request_id = request_state(scope).request_id
            detail = f"Internal server error; the log says more under {request_id}"
            await error_response(500, detail)(scope, receive, send)

"""Errors that no exception handler has turned into a response."""

import asyncio
import logging

from starlette.types import Message, Receive, Scope, Send

from pamps.database_errors import is_unavailable
from pamps.errors import error_response, unavailable_response
from pamps.middleware import BaseMiddleware
from pamps.observability.logs import request_id
from pamps.state import request_state

logger = logging.getLogger(__name__)


class ErrorMiddleware(BaseMiddleware):
    """Respond to unhandled exceptions: 503 if the database is unavailable, else 500.

    It also catches errors of the database that middleware raises, such as at the COMMIT of a
    request with an Idempotency-Key. All responses are held back for `RequestState.delay` seconds.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state, started = request_state(scope), False

        async def send_delayed(message: Message) -> None:
            nonlocal started
            if state.delay and not started:
                await asyncio.sleep(state.delay)
            started = True
            await send(message)

        try:
            await self.app(scope, receive, send_delayed)
        except Exception as error:
            if is_unavailable(error) and not started:
                response = unavailable_response(scope, error)
            else:
                logger.exception("request failed")
                if started:
                    raise
                detail = f"Internal server error; the log says more under {request_id.get()}"
                response = error_response(scope, 500, detail)
            await response(scope, receive, send)

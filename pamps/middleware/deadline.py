"""The limits of how long a request may take, and of how many are in progress at once."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps.config import settings
from pamps.errors import RETRY_AFTER, error_response

HEALTH_CHECKS = ("/health/live", "/health/ready")


def is_health_check(scope: Scope) -> bool:
    """Tell whether a request is a health check: they are frequent, and no limit applies to them."""
    return scope["method"] == "GET" and scope["path"] in HEALTH_CHECKS  # HEAD is a GET by now


class DeadlineMiddleware:
    """Respond with 503 to a request that takes too long, and to one too many at once.

    At the deadline the response is sent at once. Then the handler is cancelled, and with it the
    statement that PostgreSQL runs for it; until that has ended the request counts as in progress.
    Clients cannot conclude from a 503 that nothing was stored, as the deadline may have passed
    during a COMMIT: see docs/decisions/0013-idempotency.md.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.seconds = settings.server.request_timeout
        self.max_requests = settings.server.max_requests
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_health_check(scope):
            await self.app(scope, receive, send)
            return
        if self.requests >= self.max_requests:
            detail = "The service is overloaded, try again"
            await error_response(503, detail, RETRY_AFTER)(scope, receive, send)
            return
        self.requests += 1
        try:
            await self._run(scope, receive, send)
        finally:
            self.requests -= 1

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = asyncio.current_task()
        has_responded = False
        # Sends the 503, once the deadline has passed.
        late: asyncio.Task[None] | None = None

        async def send_in_time(message: Message) -> None:
            nonlocal has_responded
            if late is None:
                has_responded = True
                await send(message)

        async def send_late() -> None:
            response = error_response(503, "The request took too long, try again", RETRY_AFTER)
            await response(scope, receive, send)

        def expire() -> None:
            nonlocal late
            if handler and not has_responded:
                late = asyncio.create_task(send_late())
                handler.cancel()

        timer = asyncio.get_running_loop().call_later(self.seconds, expire)
        try:
            await self.app(scope, receive, send_in_time)
        except asyncio.CancelledError:
            # Others than `expire` may cancel it, such as the server when it stops.
            if not handler or late is None or handler.uncancel() > 0:
                raise
        finally:
            timer.cancel()
        if late:
            await late

"""The limits of how long a request may take, and of how many are in progress at once."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps.config import settings
from pamps.errors import RETRY_AFTER, error_response
from pamps.middleware import BaseMiddleware

HEALTH_CHECKS = ("/health/live", "/health/ready")


def is_health_check(scope: Scope) -> bool:
    """Tell whether a request is a health check: they are frequent, and no limit applies to them."""
    return scope["path"] in HEALTH_CHECKS and scope["method"] == "GET"  # HEAD is a GET by now


class DeadlineMiddleware(BaseMiddleware):
    """Respond with 503 to a request that takes too long, and to one too many at once.

    Both limits are for the time until the response begins, so that a long response takes nobody's
    place. At the deadline the 503 is sent at once. Then the handler is cancelled, and with it the
    statement that PostgreSQL runs for it; until that has ended the request counts as in progress.
    Clients cannot conclude from a 503 that nothing was stored, as the deadline may have passed
    during a COMMIT: see docs/decisions/0013-idempotency.md.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self.seconds = settings.server.request_timeout
        self.max_requests = settings.server.max_requests
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_health_check(scope):
            await self.app(scope, receive, send)
            return
        if self.requests >= self.max_requests:
            detail = "The service is overloaded, try again"
            await error_response(scope, 503, detail, RETRY_AFTER)(scope, receive, send)
            return
        self.requests += 1
        has_place = True
        handler = asyncio.current_task()
        # Sends the 503, once the deadline has passed.
        late: asyncio.Task[None] | None = None

        def give_place_back() -> None:
            nonlocal has_place
            self.requests -= has_place
            has_place = False

        async def send_in_time(message: Message) -> None:
            timer.cancel()
            if late is None:
                give_place_back()
                await send(message)

        def expire() -> None:
            nonlocal late
            detail = "The request took too long, try again"
            response = error_response(scope, 503, detail, RETRY_AFTER)
            late = asyncio.create_task(response(scope, receive, send))
            if handler:
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
            give_place_back()
        if late:
            await late

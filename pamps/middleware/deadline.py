"""Requests that take too long, or come too many at once: 503, and when to try again."""

import asyncio
import time

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps import legacy as db
from pamps.config import settings
from pamps.errors import RETRY_AFTER, refusal

HEALTH_CHECKS = ("/health/live", "/health/ready")


def is_health_check(scope: Scope) -> bool:
    """Say whether a request only asks how the service is: it is not limited, and is asked often."""
    return scope["method"] == "GET" and scope["path"] in HEALTH_CHECKS  # HEAD is a GET by now


class Deadline:
    """Answers in time, whatever a request waits for: its turn, a connection, the database.

    What the database has begun goes on; what has not begun never will. So a 503 does not tell
    whether something was stored: see docs/decisions/0013-idempotency.md.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.seconds = settings.server.request_timeout
        self.most = settings.server.max_requests
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_health_check(scope):
            await self.app(scope, receive, send)
            return
        if self.requests >= self.most:
            detail = "Too many requests at once, try again"
            await refusal(Request(scope), 503, detail, RETRY_AFTER)(scope, receive, send)
            return
        answered = late = None

        async def send_in_time(message: Message) -> None:
            nonlocal answered
            if not late:
                answered = True
                await send(message)

        def give_up() -> None:
            nonlocal late
            if not answered and not late:
                answer = refusal(Request(scope), 503, "Not done in time, try again", RETRY_AFTER)
                late = asyncio.ensure_future(answer(scope, receive, send))

        db.deadline.set(time.monotonic() + self.seconds)
        timer = asyncio.get_running_loop().call_later(self.seconds, give_up)
        self.requests += 1
        try:
            await self.app(scope, receive, send_in_time)
        except db.TooLate:
            give_up()  # a moment before its timer
        finally:
            self.requests -= 1
            timer.cancel()
            if late:
                await late

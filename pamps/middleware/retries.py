"""Retries of requests whose transaction PostgreSQL aborted."""

import asyncio
import random

import psycopg
from sqlalchemy.exc import DBAPIError
from starlette.types import Message, Receive, Scope, Send

from pamps.database_errors import is_retryable
from pamps.middleware import BaseMiddleware
from pamps.state import request_state

# The longest pauses before each retry, in seconds; they are random, as the other transaction's
# request may be retried as well.
PAUSES = 0.02, 0.05, 0.1


class RetryMiddleware(BaseMiddleware):
    """Retry transactions that PostgreSQL aborted (deadlock, serialization failure), up to 3 times.

    A request is not retried if its connection was lost: its transaction may have been committed.
    What a request committed before, such as an attempt to sign in, is stored once more.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            await self.app(scope, receive, send)
            return

        body = {"type": "http.request", "body": request_state(scope).body, "more_body": False}

        async def receive_body() -> Message:
            return unread.pop() if unread else await receive()

        for pause in (*PAUSES, None):
            unread = [body]
            request_state(scope).may_retry = pause is not None
            try:
                await self.app(scope, receive_body, send)
                return
            except (psycopg.Error, DBAPIError) as error:
                if pause is None or not is_retryable(error):
                    raise
                await asyncio.sleep(random.uniform(0, pause))  # nosec B311

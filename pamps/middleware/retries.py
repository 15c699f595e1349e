"""Requests whose transaction lost to another's, done again: nothing of it has happened."""

import asyncio
import random

import psycopg2
from sqlalchemy.exc import DBAPIError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps.database_errors import is_conflict
from pamps.state import request_state

# Before each further try, at most so many seconds; by chance, as the other one tries again too.
PAUSES = 0.02, 0.05, 0.1


class Retries:
    """Tries a write up to three times again that PostgreSQL has undone for another's sake.

    Never one whose connection was lost: it may have been stored. What a request committed before,
    as that somebody tried to sign in, is counted once more.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return

        async def receive_body() -> Message:
            return {"type": "http.request", "body": request_state(scope).body, "more_body": False}

        for pause in (*PAUSES, None):
            request_state(scope).may_retry = pause is not None
            try:
                await self.app(scope, receive_body, send)
                return
            except (DBAPIError, psycopg2.Error) as error:
                if pause is None or not is_conflict(error):
                    raise
                await asyncio.sleep(random.uniform(0, pause))  # nosec B311

"""Hints to all processes that there may be new events.

A NOTIFY locks out every other one until its transaction has ended, so that writers would wait for
each other. It is therefore sent by itself, after the commits, and once for many of them. If it is
lost, listeners find the events a little later by themselves.
"""

import asyncio
import logging

from sqlalchemy import func, literal, select

from pamps.db import Query
from pamps.loops import PerLoop
from pamps.postgres.connection import Connection

logger = logging.getLogger(__name__)

CHANNEL = "pamps_events"
# How long a process collects commits before it tells of them, in seconds.
COLLECT_SECONDS = 0.02

NOTIFY = Query(select(func.pg_notify(literal(CHANNEL), literal("")).label("notified")))


class _Hints:
    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def give(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._notify())

    async def _notify(self) -> None:
        await asyncio.sleep(COLLECT_SECONDS)
        self._task = None  # a commit from now on needs another hint
        try:
            await NOTIFY.execute()
        except Exception as error:
            logger.debug("no hint of new events could be given: %s", error)


_hints = PerLoop(_Hints)


def give_hint() -> None:
    """Tell all processes soon that there may be new events. Call it after the commit."""
    _hints.get().give()


async def listen(connection: Connection) -> bool:
    """Listen to hints; tell whether they come on this connection. Raises psycopg.Error."""
    cursor = await connection.execute("SELECT pg_backend_pid()")
    (process_id,) = await cursor.fetchone() or (None,)
    if process_id != connection.info.backend_pid:
        return False
    await connection.execute(f"LISTEN {CHANNEL}")
    return True


async def wait_for_hint(connection: Connection, seconds: float) -> bool:
    """Wait so long for hints; tell as soon as there is one. Raises psycopg.Error."""
    hints = connection.notifies(timeout=seconds, stop_after=1)
    return bool([hint async for hint in hints])

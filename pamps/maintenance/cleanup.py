"""Delete rows that have expired, every few minutes, whether requests come or not."""

import asyncio
import logging
from typing import Any

from anyio import to_thread
from psycopg2 import Error
from sqlalchemy.exc import SQLAlchemyError

from pamps import legacy as db
from pamps.folder import EmbeddedError
from pamps.middleware.rate_limit import expired_attempts
from pamps.models.idempotency import expired_outcomes
from pamps.models.session import expired_sessions

logger = logging.getLogger(__name__)

EVERY_SECONDS = 300
# Rows of one statement, which then holds up nobody.
BATCH = 1000
# Statements that delete so many expired rows of a table.
EXPIRED = expired_outcomes, expired_attempts, expired_sessions


def _run(statement: Any) -> int:
    with db.engine.begin() as connection:
        return connection.execute(statement).rowcount


async def sweep() -> None:
    """Delete what has expired by now."""
    for expired in EXPIRED:
        deleted = BATCH
        while deleted == BATCH:
            async with db.sessions.get():
                deleted = await to_thread.run_sync(_run, expired(BATCH))


async def sweep_regularly() -> None:
    while True:
        try:
            await sweep()
        except (SQLAlchemyError, Error, EmbeddedError) as error:
            logger.error("expired rows cannot be deleted: %s", error)
        await asyncio.sleep(EVERY_SECONDS)

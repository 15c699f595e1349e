"""Delete rows that have expired, every few minutes."""

import asyncio
import logging

from pamps.db import Query
from pamps.models.attempt import expired_attempts
from pamps.models.event import expired_events
from pamps.models.idempotency import expired_keys
from pamps.models.mail import expired_mails
from pamps.models.notification import expired_notifications
from pamps.models.session import expired_sessions
from pamps.models.ticket import expired_tickets
from pamps.models.write_position import obsolete_positions

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 300
# How many rows one statement deletes, so that none holds up requests.
BATCH_SIZE = 1000
# Statements that delete a batch of the expired rows of a table.
EXPIRED = [
    Query(expired_keys(BATCH_SIZE)),
    Query(expired_attempts(BATCH_SIZE)),
    Query(expired_sessions(BATCH_SIZE)),
    Query(expired_notifications(BATCH_SIZE)),
    Query(expired_mails(BATCH_SIZE)),
    Query(expired_events(BATCH_SIZE)),
    Query(expired_tickets(BATCH_SIZE)),
    Query(obsolete_positions(BATCH_SIZE)),
]


async def delete_expired() -> None:
    """Delete what has expired by now. Raises psycopg.Error and FolderError."""
    for query in EXPIRED:
        while await query.execute() == BATCH_SIZE:
            pass


async def delete_expired_in_background() -> None:
    """Delete what has expired every few minutes, until cancelled."""
    while True:
        try:
            await delete_expired()
        except Exception as error:
            logger.error("expired rows cannot be deleted: %s", error)
        await asyncio.sleep(INTERVAL_SECONDS)

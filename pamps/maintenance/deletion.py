"""Deletion of accounts: at once for everybody, and row by row in the background.

See docs/decisions/0016-account-deletion.md.
"""

import asyncio
import logging
import time
from contextlib import suppress

from sqlmodel import Session, col, select

from pamps.db import Query
from pamps.loops import PerLoop
from pamps.models import User
from pamps.models.account import ACCOUNT_ID, batches, delete_account, delete_user_row

logger = logging.getLogger(__name__)

# How often a process looks for accounts that others have deleted.
INTERVAL_SECONDS = 60
# How soon it tries again after an error.
RETRY_SECONDS = 2
# A post that so many like and repost is deleted in batches too.
MANY_REFERENCES = 1000

DELETE_ACCOUNT = Query(delete_account(col(User.id) == ACCOUNT_ID))
DELETED_ACCOUNTS = Query(select(col(User.id)).where(col(User.deleted)).order_by(col(User.id)))
BATCHES = [Query(statement) for statement in batches()]
DELETE_USER_ROW = Query(delete_user_row())

_requested = PerLoop(asyncio.Event)


def delete_rows(session: Session, user_id: int) -> None:
    """Delete the rows of a deleted account, and return when there are none left."""
    account = select(User.id).where(User.id == user_id)
    while session.exec(account).first():
        rows = 0
        for query in (*BATCHES, DELETE_USER_ROW):
            rows += len(session.execute(query.statement, {"account_id": user_id}).all())
            session.commit()
        if not rows:
            time.sleep(0.1)  # the API deletes them


def start_deletion() -> None:
    """Delete rows in the background from now on. Call it after the commit."""
    _requested.get().set()


async def delete_rows_in_background() -> None:
    """Delete the rows of deleted accounts, until cancelled."""
    requested = _requested.get()
    while True:
        requested.clear()
        seconds = INTERVAL_SECONDS if await _delete_all() else RETRY_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await requested.wait()


async def _delete_all() -> bool:
    """Delete the rows of all deleted accounts; tell whether none are left."""
    try:
        accounts = await DELETED_ACCOUNTS.all()
    except Exception as error:
        logger.warning("cannot look for deleted accounts: %s", error)
        return False
    done = True
    for account in accounts:
        try:
            done &= await _delete_rows(account["id"])
        except Exception as error:  # the other accounts are still deleted
            logger.warning("cannot delete the rows of a deleted account yet: %s", error)
            done = False
    return done


async def _delete_rows(user_id: int) -> bool:
    """Delete the rows of one account; tell whether none are left."""
    rows = 1
    while rows:
        rows = 0
        for query in BATCHES:
            started = time.monotonic()
            rows += await query.execute(account_id=user_id)
            # As long as it took, so that at least half of the time is left to requests.
            await asyncio.sleep(time.monotonic() - started)
    return await DELETE_USER_ROW.execute(account_id=user_id) > 0

"""Deletion of accounts: at once for everybody, and row by row in the background.

See docs/decisions/0016-account-deletion.md.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from sqlmodel import Session, col, select, update

from pamps.models.account import ERASED, batches, deleted_accounts, nothing_left
from pamps.models.post import Post
from pamps.models.session import end_sessions
from pamps.models.user import NOT_DELETED, User
from pamps.statements import Statement

logger = logging.getLogger(__name__)

# How often a process looks for what others have left, and how soon again after a failure.
INTERVAL_SECONDS = 60
RETRY_SECONDS = 2
# From so many likes on, a post is deleted in batches too.
MANY_LIKES = 1000

DELETED_ACCOUNTS = Statement(deleted_accounts())
BATCHES = [Statement(query) for query in batches()]
NOTHING_LEFT = Statement(nothing_left())

_wakers: set[Callable[[], object]] = set()


def delete_account(session: Session, user_id: int) -> bool:
    """Delete an account for everybody, and tell whether there was one.

    The caller commits, and then has the account's rows deleted by `wake` or `delete_rows`.
    """
    # In the mode that waits for likes which are being stored: there are none after this.
    locked = select(User.id).where(User.id == user_id, NOT_DELETED).with_for_update()
    if session.exec(locked).first() is None:
        return False
    session.exec(update(User).where(col(User.id) == user_id).values(ERASED))
    end_sessions(session, user_id)
    return True


def delete_liked_post(session: Session, post: Post) -> bool:
    """Delete a post with many likes for everybody, and tell whether it was there.

    It becomes the only post of a deleted account, which is made for it. The caller commits, and
    then calls `wake`.
    """
    owner = User(**ERASED)
    session.add(owner)
    session.flush()
    moved = update(Post).where(col(Post.id) == post.id, col(Post.user_id) == post.user_id)
    moved = moved.values(user_id=owner.id, text="deleted", parent_id=None)
    return session.exec(moved.execution_options(synchronize_session=False)).rowcount > 0


def delete_rows(session: Session, user_id: int) -> None:
    """Delete the rows of a deleted account, and return when there are none left."""
    there = select(User.id).where(User.id == user_id)
    while session.exec(there).first():
        rows = 0
        for batch in (*BATCHES, NOTHING_LEFT):
            rows += batch.read(session, user_id=user_id)[0]["rows"]
            session.commit()
        if not rows:
            time.sleep(0.1)  # the API is at it


def wake() -> None:
    """Have this process begin to delete rows now, if it serves."""
    for waker in tuple(_wakers):  # as other threads may add theirs
        waker()


@asynccontextmanager
async def running() -> AsyncIterator[None]:
    """Delete the rows of deleted accounts in the background."""
    loop, woken = asyncio.get_running_loop(), asyncio.Event()

    def waker() -> None:
        loop.call_soon_threadsafe(woken.set)

    _wakers.add(waker)
    task = asyncio.create_task(_run(woken))
    try:
        yield
    finally:
        _wakers.remove(waker)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _run(woken: asyncio.Event) -> None:
    while True:
        woken.clear()
        seconds = INTERVAL_SECONDS if await _sweep() else RETRY_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await woken.wait()


async def _sweep() -> bool:
    """Delete what there is to delete; tell whether that was all."""
    try:
        accounts = await DELETED_ACCOUNTS.fetch()
    except Exception as error:
        logger.warning("cannot look for deleted accounts: %s", error)
        return False
    done = True
    for account in accounts:
        try:
            done &= await _delete_rows(account["id"])
        except Exception as error:  # which is no reason to leave the others
            logger.warning("rows of a deleted account are left for now: %s", error)
            done = False
    return done


async def _delete_rows(user_id: int) -> bool:
    """Delete the rows of one account; tell whether none are left."""
    while True:
        rows = 0
        for batch in BATCHES:
            started = time.monotonic()
            rows += (await batch.fetch(user_id=user_id))[0]["rows"]
            # As long as it took, so that at least half of the time is everybody else's.
            await asyncio.sleep(time.monotonic() - started)
        if not rows:
            return bool((await NOTHING_LEFT.fetch(user_id=user_id))[0]["rows"])

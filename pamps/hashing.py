"""Passwords hashed beside the event loop: one at a time in a process, for few requests at once.

A hash keeps a core busy for as long as dozens of other requests take, and each thread that has made
one keeps its 19 MiB. So there is one thread, and as many requests may wait for it as it can serve
in time; any more are told at once to try again. Whoever waits holds neither a connection nor one of
the places for sessions, so that other requests do not wait for hashes.
"""

import asyncio
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from fastapi import HTTPException

from pamps import legacy as db
from pamps.config import settings
from pamps.security import get_password_hash, verify_password

T = TypeVar("T")

# What the slowest hash takes, bcrypt's of a workshop database: 0.26 s on the machine of
# docs/performance.md. argon2id takes a tenth of that.
SLOWEST_SECONDS = 0.3
# So the last of the queue is still answered within the request's time.
PLACES = max(1, int(settings.server.request_timeout / SLOWEST_SECONDS))
# What those who find no place are told to wait at most, in seconds.
LONGEST_WAIT = 5
_places = threading.BoundedSemaphore(PLACES)


def _give_way() -> None:
    """Let the event loop have the core when both want it; elsewhere it would slow the process."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


_thread = ThreadPoolExecutor(1, "hashing", _give_way)


@contextmanager
def place() -> Iterator[None]:
    """Take a place in the queue for hashing. Raises HTTPException 503 if there is none.

    To be taken before anything else is done for a request that will need a hash.
    """
    if not _places.acquire(blocking=False):
        # At different times, so that they do not come all at once again.
        headers = {"Retry-After": str(random.randint(1, LONGEST_WAIT))}  # nosec B311
        raise HTTPException(503, "Too many passwords to check at once, try again", headers)
    try:
        yield
    finally:
        _places.release()


async def hash_password(password: str) -> str:
    """Hash a password, as get_password_hash does. Raises TooLate."""
    return await _run(lambda: get_password_hash(password))


async def check_password(password: str, hashed_password: str | None) -> bool:
    """Say whether a password is that of a hash, as verify_password does. Raises TooLate."""
    return await _run(lambda: verify_password(password, hashed_password))


async def _run(work: Callable[[], T]) -> T:
    deadline = db.deadline.get()

    def in_time() -> T:
        if time.monotonic() > deadline:
            raise db.TooLate
        return work()

    async with db.without_connection.get()():
        return await asyncio.get_running_loop().run_in_executor(_thread, in_time)

"""Hash passwords in one thread, with a bounded queue.

A hash keeps a core busy for as long as dozens of other requests take, and each thread that has made
one keeps its 19 MiB. So there is one thread, and as many requests may wait for it as it can serve
in time; others are refused at once. A request should hold no connection while it waits, so that
other requests do not wait for hashes.
"""

import asyncio
import os
import random
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from fastapi import HTTPException

from pamps.config import settings
from pamps.security import get_password_hash, verify_password

# The time of the slowest hash, bcrypt's of a workshop database: 0.26 s on the machine of
# docs/performance.md. argon2id takes a tenth of that.
SLOWEST_SECONDS = 0.3
# So the last of the queue still gets its response before `server.request_timeout`.
MAX_REQUESTS = max(1, int(settings.server.request_timeout / SLOWEST_SECONDS))
# The longest `Retry-After` of a request that is refused, in seconds.
MAX_WAIT = 5
_queue_places = threading.BoundedSemaphore(MAX_REQUESTS)


def _lower_priority() -> None:
    """Lower this thread's priority. Linux only: elsewhere it would slow the whole process."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


_executor = ThreadPoolExecutor(1, "hashing", _lower_priority)


@contextmanager
def queue_place() -> Iterator[None]:
    """Take a place in the queue for hashing. Raises HTTPException 503 if there is none.

    Enter this before the first database query.
    """
    if not _queue_places.acquire(blocking=False):
        # At different times, so that they do not all come back at once.
        headers = {"Retry-After": str(random.randint(1, MAX_WAIT))}  # nosec B311
        raise HTTPException(503, "Too many passwords to check at once, try again", headers)
    try:
        yield
    finally:
        _queue_places.release()


async def hash_password(password: str) -> str:
    """Hash a password, as get_password_hash does. Cancelling it removes it from the queue."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_executor, get_password_hash, password)


async def check_password(password: str, hashed_password: str | None) -> bool:
    """Tell whether a password is that of a hash, as verify_password does."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_executor, verify_password, password, hashed_password)

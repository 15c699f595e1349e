"""Health checks."""

import asyncio
import logging

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, HTTPException

from pamps.errors import RETRY_AFTER
from pamps.loops import PerLoop
from pamps.maintenance import schema
from pamps.protocol import HTTPProtocol
from pamps.replica_reader import primary_reader

logger = logging.getLogger(__name__)

# For operators and their load balancers; clients are not told of it.
router = APIRouter(prefix="/health", include_in_schema=False)

TIMEOUT_SECONDS = 1

_state_reads = PerLoop(lambda: asyncio.create_task(schema.read_state_from_pool(primary_reader())))


async def _find_problem() -> str | None:
    """Return why requests cannot be served now, or None if they can.

    The database is queried once for all requests that wait for it at the same time.
    """
    if _state_reads.get().done():
        _state_reads.forget()
    read = _state_reads.get()
    await asyncio.wait([read], timeout=TIMEOUT_SECONDS)
    if not read.done() or read.cancelled():
        read.cancel()
        return f"the database does not answer within {TIMEOUT_SECONDS} s"
    if error := read.exception():
        logger.error("the database does not answer: %s", error)
        return "the database does not answer"
    # Reading the migrations takes long. Its own limiter keeps it from queuing behind other threads.
    return await to_thread.run_sync(schema.find_problem, read.result(), limiter=CapacityLimiter(1))


@router.get("/live")
async def live() -> dict[str, str]:
    """Tell that the process works, whatever the database does."""
    return {"status": "ok"}


@router.get("/ready")
async def ready() -> dict[str, str]:
    """Tell whether this process can serve requests, or why not."""
    problem = "stopping" if HTTPProtocol.draining else await _find_problem()
    if problem:
        raise HTTPException(503, problem, RETRY_AFTER)
    return {"status": "ok"}

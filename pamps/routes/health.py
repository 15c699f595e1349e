import asyncio
import logging
import time

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, HTTPException

from pamps import legacy as db
from pamps.errors import RETRY_AFTER
from pamps.loops import PerLoop
from pamps.maintenance import schema
from pamps.protocol import Protocol
from pamps.statements import pools

logger = logging.getLogger(__name__)

# For operators and their load balancers, and no part of what clients are told of.
router = APIRouter(prefix="/health", include_in_schema=False)

BUDGET_SECONDS = 1


async def _ask() -> str | None:
    """Ask by both kinds of connections that requests use, without waiting for requests."""
    db.deadline.set(time.monotonic() + BUDGET_SECONDS)
    await pools.get().fetch_at_once("SELECT 1", {})
    # In a thread of its own.
    return await to_thread.run_sync(schema.problem, limiter=CapacityLimiter(1))


questions = PerLoop(lambda: asyncio.ensure_future(_ask()))


async def _problem() -> str | None:
    """What is wrong with the database, asked once for all who ask meanwhile."""
    # No matter of the database, and it takes long on a busy machine.
    await to_thread.run_sync(schema.read_migrations, limiter=CapacityLimiter(1))
    if questions.get().done():
        questions.end()
    question = questions.get()
    answered, _ = await asyncio.wait([question], timeout=BUDGET_SECONDS)
    if not answered:
        return f"the database does not answer within {BUDGET_SECONDS} s"
    if error := question.exception():
        logger.error("the database does not answer: %s", error)
        return "the database does not answer"
    return question.result()


@router.get("/live")
async def live() -> dict[str, str]:
    """Says that the process works, whatever the database does."""
    return {"status": "ok"}


@router.get("/ready")
async def ready() -> dict[str, str]:
    """Says whether requests should be sent here, and if not why."""
    problem = "stopping" if Protocol.draining else await _problem()
    if problem:
        raise HTTPException(503, problem, RETRY_AFTER)
    return {"status": "ok"}

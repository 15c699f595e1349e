"""The export of everything that is the caller's. See docs/decisions/0026-export.md."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any, NamedTuple

import psycopg
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from sqlmodel import func, select
from starlette.types import Send

from pamps.auth import Address, FreshUser
from pamps.db import Query, Row, Transaction
from pamps.loops import PerLoop
from pamps.maintenance.export import USER, export_in_parts, open_snapshot
from pamps.models.columns import id_parameter
from pamps.models.export import Export
from pamps.responses import STREAMED
from pamps.security import hmac_hash
from pamps.state import request_state
from pamps.throttling import count_export
from pamps.tokens import unauthorized

logger = logging.getLogger(__name__)

router = APIRouter(tags=["user"])

# How many a process makes at once: each has a connection of its own, and takes CPU.
MAX_EXPORTS = 2
# The longest time for all parts: PostgreSQL keeps for it all rows that are overwritten meanwhile.
MAX_SECONDS = 900
RETRY_AFTER = {"Retry-After": "10"}
# For the documentation.
FILE_NAME = {"Content-Disposition": {"$ref": "#/components/headers/Content-Disposition"}}
HEADERS: dict[int | str, dict[str, Any]] = {200: {"headers": FILE_NAME}}

LOCK = Query(select(func.pg_try_advisory_xact_lock(id_parameter("key")).label("locked")))
_places = PerLoop(lambda: asyncio.Semaphore(MAX_EXPORTS))


class BegunExport(NamedTuple):
    """An export that has begun: its transaction, and the result of the query USER."""

    snapshot: Transaction
    user: Row


async def begin_export(
    user: FreshUser, address: Address, request: Request
) -> AsyncIterator[BegunExport]:
    """Begin an export, until the response is sent. Raises HTTPException 401, 429, 503."""
    places = _places.get()
    if places.locked():
        raise HTTPException(503, "Too many exports are in progress, try again", RETRY_AFTER)
    async with places, open_snapshot() as snapshot:
        key = int.from_bytes(hmac_hash("export in progress", str(user.id))[:8], signed=True)
        lock = await LOCK.first(snapshot, key=key)
        if not lock or not lock["locked"]:
            detail = "An export of this account is in progress"
            raise HTTPException(429, detail, RETRY_AFTER)
        exported = await USER.first(snapshot, user_id=user.id)
        if exported is None:
            raise unauthorized()
        if not request_state(request.scope).is_head:
            await count_export(user.id, address)
        yield BegunExport(snapshot, exported)


class ExportResponse(StreamingResponse):
    """A JSON document in parts.

    If it ends early, there is no last part: the server closes the connection, so that the client
    notices.
    """

    media_type = "application/json"

    async def stream_response(self, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(MAX_SECONDS):
                began = loop.time()
                async for part in self.body_iterator:
                    # As long as it took, so that at least half of the time is left to others.
                    pause = loop.time() - began
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                    await asyncio.sleep(pause)
                    began = loop.time()
        except (TimeoutError, psycopg.Error) as error:
            logger.error("an export ended early: %r", error)
            return
        await send({"type": "http.response.body"})


@router.get("/user/me/export/", response_model=Export, responses=HEADERS, **STREAMED)
async def export_me(
    user: FreshUser, begun: Annotated[BegunExport, Depends(begin_export)], request: Request
) -> Response:
    """Export everything that is yours, as one JSON document. Takes a fresh sign-in."""
    snapshot, exported = begun
    name = f"pamps-{exported['username']}-{exported['exported_at'][:10]}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    if request_state(request.scope).is_head:
        return ExportResponse((), headers=headers)
    return ExportResponse(export_in_parts(snapshot, user.id, exported), headers=headers)

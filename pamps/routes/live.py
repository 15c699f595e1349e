"""Streams of events, and the tickets that open them."""

import secrets
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Header, HTTPException, Query as QueryParameter, Request
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse
from starlette.types import Receive, Scope, Send

from pamps.auth import OPTIONAL_SIGN_IN, Address, AuthenticatedUser, OptionalUser
from pamps.db import Query
from pamps.errors import error_responses
from pamps.live.hub import hubs, is_known
from pamps.live.messages import parse_id
from pamps.live.places import TooManyStreamsError
from pamps.live.stream import Stream
from pamps.models.event import Position
from pamps.models.ticket import VALID_FOR, TicketResponse, insert_ticket, use_ticket
from pamps.models.types import SafeText
from pamps.responses import STREAMED, json_response
from pamps.security import hmac_hash
from pamps.state import ActiveTransaction, request_state
from pamps.throttling import client_network
from pamps.tokens import unauthorized

router = APIRouter(prefix="/live", tags=["live"])

TICKET_BYTES = 24
# Of what clients send back to us.
MAX_LENGTH = 100
# When a caller may try again who has, or a process that has, as many streams as allowed.
RETRY_AFTER = {"Retry-After": "5"}

INSERT_TICKET = Query(insert_ticket())
USE_TICKET = Query(use_ticket())

# For the documentation.
EVENTS = (
    "Server-Sent Events: `post` (an entry of your timeline), `notification`, `edited` (a post),"
    ' `deleted` (`{"id": …}` of a post); without sign-in `post` for home alone. `open` comes first,'
    " and `reset` if what you have missed is not known any more. Send the last `id` in the header"
    " `Last-Event-ID` to go on behind it."
)
TEXT = {"type": "string"}
EVENT = {
    "type": "object",
    "description": "An event; `data` is JSON.",
    "properties": {"event": TEXT, "data": TEXT, "id": TEXT, "retry": {"type": "integer"}},
}
DESCRIPTION: dict[int | str, Any] = {
    200: {"description": EVENTS, "content": {"text/event-stream": {"schema": EVENT}}},
    **error_responses(401),
}


class StreamHead(EventSourceResponse):
    """The head of a response; StreamMiddleware sends the rest, unless there is none."""

    def __init__(self, is_all: bool) -> None:
        # nginx must not collect events.
        super().__init__((), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._is_all = is_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        if self._is_all:
            await send({"type": "http.response.body", "body": b""})


class Viewer(NamedTuple):
    """Who opens a stream: a user in a session, or anybody."""

    id: int | None = None
    session_id: int | None = None


class SentPosition(NamedTuple):
    """Where a client says that it is, if that is known, and whether it has lost its place."""

    position: Position | None
    is_lost: bool


def _ticket_hash(ticket: str) -> bytes:
    return hmac_hash("live ticket", ticket)


async def get_viewer(
    user: OptionalUser,
    ticket: Annotated[
        SafeText | None,
        QueryParameter(description="In place of an access token.", max_length=MAX_LENGTH),
    ] = None,
) -> Viewer:
    """Return whose stream it is. Raises HTTPException 401 for a bad token or ticket."""
    if ticket is None:
        return Viewer(user.id, user.session_id) if user else Viewer()
    owner = await USE_TICKET.first(ticket_hash=_ticket_hash(ticket))
    if owner is None:
        raise unauthorized()
    return Viewer(owner["id"], owner["session_id"])


async def get_sent_position(
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="The id of the last event that came.")
    ] = None,
    id_in_query: Annotated[
        SafeText | None,
        QueryParameter(
            alias="last_event_id",
            description="The same, where no header can be sent.",
            max_length=MAX_LENGTH,
        ),
    ] = None,
) -> SentPosition:
    """Return where the client says that it is, and whether that is known."""
    sent = last_event_id or id_in_query
    position = parse_id(sent) if sent else None
    is_lost = bool(sent) and not (position and await is_known(position))
    return SentPosition(None if is_lost else position, is_lost)


@router.get(
    "/",
    response_class=Response,
    responses=DESCRIPTION,
    openapi_extra=OPTIONAL_SIGN_IN["openapi_extra"] | STREAMED["openapi_extra"],
)
async def stream_events(
    viewer: Annotated[Viewer, Depends(get_viewer)],
    sent: Annotated[SentPosition, Depends(get_sent_position)],
    address: Address,
    request: Request,
) -> Response:
    """Stream what happens: entries of your timeline, notifications, changes of posts."""
    caller = f"user {viewer.id}" if viewer.id else client_network(address)
    state = request_state(request.scope)
    stream = Stream(caller, *viewer, sent=sent.position, is_lost=sent.is_lost)
    try:
        await hubs.get().join(stream)
    except TooManyStreamsError as error:
        status = 429 if error.of_caller else 503
        detail = "Too many streams are open, close one or try again later"
        raise HTTPException(status, detail, RETRY_AFTER) from None
    state.stream = stream
    return StreamHead(state.is_head)


@router.post("/ticket/", status_code=201, response_model=TicketResponse)
async def create_ticket(user: AuthenticatedUser, transaction: ActiveTransaction) -> Response:
    """Make a ticket for `/live/?ticket=`, for clients that cannot send an access token there."""
    ticket = secrets.token_urlsafe(TICKET_BYTES)
    values = {"user_id": user.id, "session_id": user.session_id}
    hash_ = _ticket_hash(ticket)
    if not await INSERT_TICKET.execute(transaction, ticket_hash=hash_, **values):
        raise unauthorized()
    seconds = int(VALID_FOR.total_seconds())
    return json_response({"ticket": ticket, "expires_in": seconds}, 201)

"""The data of one request that middleware passes to handlers and to other middleware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from starlette.types import Scope

from pamps.db import Transaction

if TYPE_CHECKING:
    from pamps.auth import CurrentUser
    from pamps.live.stream import Stream
    from pamps.replica_reader import ReplicaReader


@dataclass(slots=True)
class RequestState:
    """Data of one request, stored in `scope["state"]`. Each field is set by one layer only."""

    # BodyLimitMiddleware: the whole body; empty for GET and HEAD.
    body: bytes = b""
    # HeadMiddleware: whether this is a HEAD, for which nothing long has to be sent.
    is_head: bool = False
    # auth: the user who is calling, once that was checked; None without a valid token.
    user: CurrentUser | None = None
    user_checked: bool = False
    # ReplicationMiddleware: where its reads may go, if there are replicas.
    reads: ReplicaReader | None = None
    # Routes of sessions: whose session they have started, changed or ended.
    session_user_id: int | None = None
    # IdempotencyMiddleware: the transaction of a request with an Idempotency-Key.
    transaction: Transaction | None = None
    # RetryMiddleware: whether a transaction that PostgreSQL aborts will be tried again.
    may_retry: bool = False
    # GET /live/: StreamMiddleware sends its events.
    stream: Stream | None = None
    # POST /token: ErrorMiddleware waits so many seconds before it responds.
    delay: float = 0


def request_state(scope: Scope) -> RequestState:
    """Return the state of the request of this ASGI scope; the first call makes it."""
    states = scope.setdefault("state", {})
    if "request" not in states:
        states["request"] = RequestState()
    state: RequestState = states["request"]
    return state


async def get_transaction(request: Request) -> Transaction | None:
    """Return the transaction of a request with an Idempotency-Key, and None for any other.

    All that such a request writes has to be part of it.
    """
    return request_state(request.scope).transaction


ActiveTransaction = Annotated[Transaction | None, Depends(get_transaction)]

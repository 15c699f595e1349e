"""Reads from replicas, and the positions of writes that make them safe."""

import re
from functools import lru_cache

import psycopg
from fastapi import Request
from starlette.types import Message, Receive, Scope, Send

from pamps.auth import client_address
from pamps.errors import unavailable_response
from pamps.middleware import BaseMiddleware
from pamps.postgres.replica import Position
from pamps.replica_reader import ReplicaReader
from pamps.replication import current_replication
from pamps.security import hmac_hash
from pamps.state import RequestState, request_state
from pamps.throttling import client_network

HEADER = "Write-Position"
POSITION = re.compile("([0-9a-f]{1,16})-([0-9a-f]{1,16})")


class ReplicationMiddleware(BaseMiddleware):
    """Let a request read from replicas, and record where the log is after it has written.

    The position is recorded for the user and for the network that the request comes from, and sent
    in the header `Write-Position`; a request that has this header reads nothing older. A write
    whose position cannot be recorded is a 503.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        replication = current_replication()
        if replication is None or scope["method"] == "OPTIONS":
            await self.app(scope, receive, send)
            return
        request, state = Request(scope), request_state(scope)
        network = _network_caller(client_network(client_address(request)))
        if scope["method"] == "GET":
            sent = _parse(request.headers.get(HEADER, ""))
            state.reads = ReplicaReader(replication, network, sent)
            await self.app(scope, receive, send)
            return

        is_refused = False

        async def send_position(message: Message) -> None:
            nonlocal is_refused
            if message["type"] == "http.response.start" and message["status"] < 400:
                try:
                    position = await replication.record([network, *_users(state)])
                except psycopg.Error as error:
                    is_refused = True
                    await unavailable_response(scope, error)(scope, receive, send)
                    return
                header = HEADER.lower().encode(), _format(position).encode()
                message["headers"] = [*message["headers"], header]
            if not is_refused:
                await send(message)

        await self.app(scope, receive, send_position)


@lru_cache(maxsize=1024)
def _network_caller(network: str) -> int:
    """Return the negative number that stands for a network; two may have the same."""
    return -1 - int.from_bytes(hmac_hash("write position", network)[:8]) // 2


def _users(state: RequestState) -> set[int]:
    """Return the ids of the users for whom a request has written."""
    calling = state.user.id if state.user else None
    return {id_ for id_ in (calling, state.session_user_id) if id_}


def _format(position: Position) -> str:
    return f"{position.epoch:x}-{position.lsn:x}"


def _parse(text: str) -> Position | None:
    """Return the position in a header; None if it is none, which is ignored."""
    found = POSITION.fullmatch(text)
    return Position(int(found[1], 16), int(found[2], 16)) if found else None

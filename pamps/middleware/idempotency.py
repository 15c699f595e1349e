"""Idempotency-Key: a POST that is sent again is not done again, and gets the first response.

The header is that of the IETF's draft-ietf-httpapi-idempotency-key-header. All that the request
stores, its key and its response are one transaction, so there is never one without the others.
"""

import base64
import re
from contextlib import AsyncExitStack, suppress

import orjson
from cryptography.fernet import Fernet, InvalidToken
from fastapi import HTTPException, Request
from psycopg import Rollback
from sqlalchemy import BigInteger, bindparam, func, select, true
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from pamps.auth import CurrentUser, client_address, find_user, session_user
from pamps.cookie import read_cookie, read_set_cookie
from pamps.db import Query, Row, Transaction, transaction
from pamps.errors import RETRY_AFTER, error_response
from pamps.middleware import BaseMiddleware
from pamps.models.idempotency import store_response, stored_response
from pamps.postgres.connection import Connection
from pamps.security import hmac_hash
from pamps.state import request_state
from pamps.throttling import client_network, count_sign_in_attempt
from pamps.tokens import read_token

# Ignores the header: it must always end the session, and it is not rate limited, so nothing may be
# stored for it.
SIGN_OUT_PATH = "/logout"
KEY = re.compile("[ -~]{1,255}")
# The headers that routes set. All others belong to the response that is sent now.
STORED_HEADERS = "Content-Type", "ETag", "Location", "Set-Cookie"

STORED_RESPONSE = Query(stored_response())
STORE_RESPONSE = Query(store_response())
# Returns a row if it locks the key.
LOCK = Query(
    select(true()).where(func.pg_try_advisory_xact_lock(bindparam("id", type_=BigInteger)))
)


class IdempotentTransaction(Transaction):
    """The transaction of a request with an Idempotency-Key.

    It begins with its first query, so that a handler that is still hashing a password holds no
    connection. `stack` ends it.
    """

    def __init__(self, stack: AsyncExitStack, key: bytes, stored: Row | None) -> None:
        self._stack, self._key, self._stored = stack, key, stored
        self._begun: Transaction | None = None

    async def connection(self) -> Connection:
        """Return the connection of this transaction, which locks the key until it ends.

        Raises HTTPException 409 if another request with this key is in progress, or has just
        finished; psycopg.Error; FolderError.
        """
        if self._begun is None:
            self._begun = await self._stack.enter_async_context(transaction())
            self.after_commit = self._begun.after_commit
            locked = await LOCK.first(self._begun, id=int.from_bytes(self._key[:8], signed=True))
            stored = await STORED_RESPONSE.first(self._begun, key=self._key)
            known = self._stored and self._stored["answer"]
            if not locked or (stored and stored["answer"] != known):
                detail = "A request with this key is in progress or has just finished, try again"
                raise HTTPException(409, detail, RETRY_AFTER)
        return await self._begun.connection()


class _KeyedRequest:
    """What is stored of a request and its response: keyed hashes, and encrypted text."""

    def __init__(self, request: Request, key: str, user: CurrentUser | None) -> None:
        # With an empty body, the refresh token in the cookie tells apart who may get the response.
        body = request_state(request.scope).body or read_cookie(request).encode()
        # Callers who are not signed in share keys with their own network only.
        scope = f"user {user.id}" if user else f"network {client_network(client_address(request))}"
        self.user_id = user and user.id
        self.key = hmac_hash("idempotency key", scope, key)
        self.request = hmac_hash("idempotency request", request.url.path, request.url.query, body)
        # Responses contain tokens, and texts that may be deleted. Decrypting one takes the request,
        # its password or text included, and our secret.
        secret = hmac_hash("idempotency answer", key, body)
        self._fernet = Fernet(base64.urlsafe_b64encode(secret))

    async def store(self, transaction: Transaction, response: Response) -> None:
        headers = {
            name: response.headers[name] for name in STORED_HEADERS if name in response.headers
        }
        content = bytes(response.body).decode()
        await STORE_RESPONSE.execute(
            transaction,
            key=self.key,
            caller_id=self.user_id,
            request=self.request,
            status=response.status_code,
            answer=self._fernet.encrypt(orjson.dumps([headers, content])),
        )

    def decrypt(self, stored: Row) -> Response | None:
        """Return the stored response, or None if it was stored with another secret.

        Its `expires_in` is what is left of that now.
        """
        try:
            headers, content = orjson.loads(self._fernet.decrypt(stored["answer"]))
        except InvalidToken:
            return None
        fields = orjson.loads(content or b"{}")
        if "expires_in" in fields:
            seconds = max(0, fields["expires_in"] - int(stored["age"]))
            content = orjson.dumps(fields | {"expires_in": seconds})
        return Response(content, stored["status"], headers)


async def _tokens_were_revoked(response: Response) -> bool:
    """Tell whether a response contains tokens of a session that has ended."""
    fields = orjson.loads(bytes(response.body) or b"{}")
    token = fields.get("refresh_token") or read_set_cookie(response)
    if not token:
        return False
    claims = read_token(token, "refresh_token")
    return claims is None or await session_user(claims) is None


def _invalid(message: str) -> HTTPException:
    item = {"type": "idempotency_key", "loc": ["header", "Idempotency-Key"], "msg": message}
    return HTTPException(422, [item])


class IdempotencyMiddleware(BaseMiddleware):
    """Process a POST with an Idempotency-Key in one transaction, once in 24 hours."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, app = Request(scope, receive), self.app
        takes_key = scope["method"] == "POST" and scope["path"] != SIGN_OUT_PATH
        if takes_key and (keys := request.headers.getlist("Idempotency-Key")):
            try:
                app = await self._respond(request, keys)
            except HTTPException as error:
                app = error_response(scope, error.status_code, error.detail, error.headers)
        await app(scope, receive, send)

    async def _respond(self, request: Request, keys: list[str]) -> Response:
        """Return the stored response, or else the handler's. Raises HTTPException."""
        if len(keys) > 1 or not KEY.fullmatch(keys[0]):
            message = "Idempotency-Key must be sent once, with 1 to 255 printable ASCII characters"
            raise _invalid(message)
        keyed = _KeyedRequest(request, keys[0], await find_user(request))
        stored = await STORED_RESPONSE.first(key=keyed.key)
        if stored and (replayed := await self._replay(request, keyed, stored)):
            return replayed
        with suppress(Rollback):  # which leaves `stack` if no transaction has begun
            async with AsyncExitStack() as stack:
                transaction = IdempotentTransaction(stack, keyed.key, stored)
                request_state(request.scope).transaction = transaction
                response = await self._handle(request)
                # A 4xx commits: a refresh token that is used again ends its session.
                if response.status_code >= 500:
                    raise Rollback
                if response.status_code < 300:
                    await keyed.store(transaction, response)
        return response

    async def _replay(self, request: Request, keyed: _KeyedRequest, stored: Row) -> Response | None:
        """Return the stored response, or None if it is of no use. Raises HTTPException 422, 429."""
        is_same = stored["request"] == keyed.request
        if keyed.user_id is None:
            async with transaction() as own:
                # Counts as a failed sign-in unless it is the same request: by 422 or 200, somebody
                # who knows the key could guess the password that it was used with.
                await count_sign_in_attempt(keyed.key.hex(), client_address(request), own)
                if is_same:
                    raise Rollback
        if not is_same:
            raise _invalid("This Idempotency-Key was used with a different request")
        response = keyed.decrypt(stored)
        return None if response is None or await _tokens_were_revoked(response) else response

    async def _handle(self, request: Request) -> Response:
        """Let the layers below handle a request, and return their response."""
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self.app(request.scope, request.receive, collect)
        content = b"".join(message.get("body", b"") for message in messages)
        response = Response(content, messages[0]["status"])
        response.raw_headers = messages[0]["headers"]
        return response

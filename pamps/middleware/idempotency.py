"""Idempotency-Key: a POST that is sent again does nothing again, and gets the first answer.

The header is that of the IETF's draft-ietf-httpapi-idempotency-key-header. All that the request
does, its key and its answer are one transaction, so there is never one without the others.
"""

import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from anyio import CancelScope, to_thread
from cryptography.fernet import Fernet, InvalidToken
from fastapi import HTTPException, Request
from sqlalchemy import Connection, func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException as FormError
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps import legacy as db
from pamps.auth import client_address, session_user, signed_in
from pamps.errors import refusal
from pamps.middleware.rate_limit import attempt_sign_in, network
from pamps.models.idempotency import Outcome, outcomes
from pamps.models.session import Caller
from pamps.models.user import NOT_DELETED, User
from pamps.security import keyed_hash
from pamps.state import request_state
from pamps.tokens import read_token

# Done twice it is as done once, and it has to end the session of its own token, whatever was
# answered to another one. It has no limit either, so nothing may be kept of it.
SIGN_OUT = "/logout"
KEY = re.compile("[ -~]{1,255}")
# What routes say besides the content; all others are of the answer that is sent now.
KEPT_HEADERS = "Content-Type", "ETag", "Location"


def _invalid(message: str) -> HTTPException:
    told = {"type": "idempotency_key", "loc": ["header", "Idempotency-Key"], "msg": message}
    return HTTPException(422, [told])


async def _username(request: Request) -> str | None:
    """Whom a request signs in by a password, or None if it is something else."""
    if request.scope["path"] != "/token":
        return None
    try:
        async with request.form() as form:
            username = form.get("username")
    except FormError:
        return None  # The route refuses it.
    return username if isinstance(username, str) else None


def _with_time_left(content: str, age: float) -> str | bytes:
    """An answer of so many seconds ago; if it has tokens, it tells how long they still live."""
    answer = orjson.loads(content or b"{}")
    if "expires_in" not in answer:
        return content
    return orjson.dumps(answer | {"expires_in": max(0, answer["expires_in"] - int(age))})


async def _are_ended(answer: Response) -> bool:
    """Whether it is an answer with tokens of a session that has ended, which are no good."""
    token = orjson.loads(bytes(answer.body) or b"{}").get("refresh_token")
    try:
        return bool(token) and await session_user(read_token(token, "refresh_token")) is None
    except HTTPException:
        return True


def _in_flight() -> HTTPException:
    headers = {"Retry-After": "1"}
    return HTTPException(409, "The first request with this key is in flight", headers)


class _Keyed:
    """One request with a key, and the transaction that it is."""

    def __init__(self, request: Request, key: str, body: bytes, user: Caller | None) -> None:
        self.address = client_address(request)
        # Whoever is not signed in shares keys with nobody but the own network.
        scope = f"user {user.id}" if user else f"network {network(self.address)}"
        self.user_id = user and user.id
        self.key = keyed_hash("idempotency key", scope, key)
        self.request = keyed_hash("idempotency request", request.url.path, request.url.query, body)
        # Answers have tokens in them, and texts that may be deleted. Only who has the request, its
        # password or text included, can have the one to it read, and only with our own secret.
        secret = keyed_hash("idempotency answer", key, body)
        self.fernet = Fernet(base64.urlsafe_b64encode(secret))
        self.connection: Connection | None = None
        # What was kept, if this request is done all the same.
        self.kept: Any = None

    def begin(self, username: str | None) -> Response | None:
        """Give the answer, if one is kept. `username` is whoever this request signs in.

        Raises HTTPException 409, 422, 429.
        """
        self.kept = first = self._lock()
        if first is None:
            return None
        same = first.request == self.request
        if username is not None:
            self._limit_sign_in(username, same)
        if not same:
            raise _invalid("Idempotency-Key belongs to another request")
        try:
            headers, content = orjson.loads(self.fernet.decrypt(first.answer))
        except InvalidToken:
            return None  # as if it had not been kept
        return Response(_with_time_left(content, float(first.age)), first.status, headers)

    def _lock(self) -> Any:
        """Begin the transaction, in which nobody else uses the key; give what is kept of it."""
        db.be_in_time()
        self.connection = connection = db.engine.connect()
        lock = func.pg_try_advisory_xact_lock(int.from_bytes(self.key[:8], signed=True))
        if not connection.scalar(select(lock)):
            raise _in_flight()
        return connection.execute(outcomes(), {"key": self.key}).first()

    @asynccontextmanager
    async def without_connection(self) -> AsyncIterator[None]:
        """Commit what has been done, and hold neither a connection nor a place for sessions.

        Raises HTTPException 409 if the same request was faster meanwhile.
        """
        places = db.sessions.get()
        await to_thread.run_sync(self._pause)
        places.release()
        try:
            yield
        finally:
            with CancelScope(shield=True):
                await places.acquire()
        await to_thread.run_sync(self._go_on)
        db.transaction.set(self.connection)

    def _pause(self) -> None:
        connection: Any = self.connection
        connection.commit()
        connection.close()

    def _go_on(self) -> None:
        found = self._lock()
        if found and (self.kept is None or found.answer != self.kept.answer):
            raise _in_flight()  # or just done: whoever tries again gets its answer

    def _limit_sign_in(self, username: str, succeeded: bool) -> None:
        """Count a sign-in whose password is not the one that the key was used with as failed."""
        connection: Any = self.connection
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            attempt_sign_in(session, username, self.address)
            if not succeeded:
                session.commit()
                connection.commit()

    def commit(self, status: int, headers: dict[str, str], content: bytes) -> None:
        """Stores what was done, and the answer if that was a success."""
        connection: Any = self.connection
        if status < 300:
            user = select(User.id).where(col(User.id) == self.user_id, NOT_DELETED)
            user = user.with_for_update(read=True, key_share=True)
            values = {
                # Null where the account has been deleted meanwhile.
                "user_id": user.scalar_subquery(),
                "request": self.request,
                "status": status,
                "answer": self.fernet.encrypt(orjson.dumps([headers, content.decode()])),
                "date": func.now(),
            }
            kept = insert(Outcome).values(key=self.key, **values)
            # What is there already is no longer kept.
            connection.execute(kept.on_conflict_do_update(index_elements=["key"], set_=values))
        connection.commit()

    def close(self) -> None:
        if self.connection:
            self.connection.close()


class Idempotency:
    """Makes a POST with a key one transaction, that happens once in 24 hours."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        if is_post and scope["path"] != SIGN_OUT:
            request = Request(scope, receive)
            if keys := request.headers.getlist("Idempotency-Key"):
                try:
                    await self._once(request, keys, send)
                except HTTPException as error:
                    answer = refusal(request, error.status_code, error.detail, error.headers)
                    await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _once(self, request: Request, keys: list[str], send: Send) -> None:
        if len(keys) > 1 or not KEY.fullmatch(keys[0]):
            told = "Idempotency-Key should be given once, as 1 to 255 characters of ASCII"
            raise _invalid(told)
        keyed = _Keyed(
            request, keys[0], request_state(request.scope).body, await signed_in(request)
        )
        username = await _username(request)
        async with db.sessions.get():
            try:
                answer = await to_thread.run_sync(keyed.begin, username)
                outer = db.transaction.set(keyed.connection)
                released = db.without_connection.set(keyed.without_connection)
                try:
                    if answer is not None and await _are_ended(answer):
                        answer = None
                    if answer is None:
                        messages = await self._do(keyed, request)
                finally:
                    db.transaction.reset(outer)
                    db.without_connection.reset(released)
            finally:
                await to_thread.run_sync(keyed.close)
        if answer is not None:
            await answer(request.scope, request.receive, send)
            return
        for message in messages:
            await send(message)

    async def _do(self, keyed: _Keyed, request: Request) -> list[Message]:
        """Lets the route do it, in the transaction; gives the answer that may be sent now."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(request.scope, request.receive, keep)
        status, content = messages[0]["status"], b"".join(m.get("body", b"") for m in messages)
        sent = Headers(raw=messages[0]["headers"])
        headers = {name: sent[name] for name in KEPT_HEADERS if name in sent}
        if status < 500:
            # A refusal too may have stored something, such as that it was tried.
            await to_thread.run_sync(keyed.commit, status, headers, content)
        return messages

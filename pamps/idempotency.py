"""Idempotency-Key: a POST that is sent again does nothing again, and gets the first answer.

The header is that of the IETF's draft-ietf-httpapi-idempotency-key-header. All that the request
does, its key and its answer are one transaction, so there is never one without the others.
"""

import base64
import hashlib
import re
from typing import Any

import orjson
from anyio import to_thread
from cryptography.fernet import Fernet
from fastapi import HTTPException, Request
from sqlalchemy import Connection, func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps import db
from pamps.auth import caller, get_current_user
from pamps.errors import refusal
from pamps.models.idempotency import Outcome, outcomes, sweep
from pamps.models.user import User
from pamps.tokens import Claims, read_token

KEY = re.compile("[ -~]{1,255}")


def _claims(request: Request) -> Claims | None:
    try:
        return caller(request)
    except HTTPException:
        return None  # The route refuses a bad token, if it asks for one.


def _hash(*parts: str | bytes) -> bytes:
    words = [part.encode() if isinstance(part, str) else part for part in parts]
    return hashlib.sha256(b"\0".join(words)).digest()


class _Keyed:
    """One request with a key, and the transaction that it is."""

    def __init__(self, request: Request, key: str, body: bytes) -> None:
        self.claims = _claims(request)
        self.key = _hash(self.claims.sub if self.claims else "", key)
        self.request = _hash(request.url.path, request.url.query, body)
        # Answers have tokens in them, and texts that may be deleted. Only who has the request, its
        # password or text included, can read the one to it.
        self.secret = Fernet(base64.urlsafe_b64encode(_hash(key, body)))
        self.connection: Connection | None = None

    async def begin(self) -> Response | None:
        """Give the answer that was kept, if there is one. Raises HTTPException 409, 422.

        None for a session that has ended: the route says what is right then.
        """
        answer = await to_thread.run_sync(self._begin)
        if answer and await self._is_ended(bytes(answer.body)):
            return None
        return answer

    async def _is_ended(self, answer: bytes) -> bool:
        """Whether the caller's session has ended, or the one whose tokens are in the answer."""
        claims = self.claims
        try:
            if claims is None and (token := orjson.loads(answer or b"{}").get("refresh_token")):
                claims = read_token(token, "refresh_token")
            if claims:
                await get_current_user(claims)
        except HTTPException:
            return True
        return False

    def _begin(self) -> Response | None:
        db.be_in_time()
        self.connection = connection = db.engine.connect()
        lock = func.pg_try_advisory_xact_lock(int.from_bytes(self.key[:8], signed=True))
        if not connection.scalar(select(lock)):
            headers = {"Retry-After": "1"}
            raise HTTPException(409, "The first request with this key is in flight", headers)
        first = connection.execute(outcomes(), {"key": self.key}).first()
        if first is None:
            return None
        if first.request != self.request:
            raise HTTPException(422, "This Idempotency-Key belongs to another request")
        content = self.secret.decrypt(first.answer)
        return Response(content, first.status, None, "application/json" if content else None)

    def commit(self, status: int, content: bytes) -> None:
        """Stores what was done, and the answer if that was a success."""
        connection: Any = self.connection
        if status < 300:
            user = select(User.id).where(col(User.id) == (self.claims and self.claims.user_id))
            user = user.with_for_update(read=True, key_share=True)
            values = {
                # Null where the account is gone, though the token is still good for a sign-up.
                "user_id": user.scalar_subquery(),
                "request": self.request,
                "status": status,
                "answer": self.secret.encrypt(content),
                "date": func.now(),
            }
            kept = insert(Outcome).values(key=self.key, **values)
            # What is there already is no longer kept.
            connection.execute(kept.on_conflict_do_update(index_elements=["key"], set_=values))
            connection.execute(sweep())
        connection.commit()

    def close(self) -> None:
        if self.connection:
            self.connection.close()


class Idempotency:
    """Makes a POST with a key one transaction, that happens once in 24 hours."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
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
            raise HTTPException(422, told)
        keyed = _Keyed(request, keys[0], request.state.body)
        async with db.sessions.get():
            try:
                answer = await keyed.begin()
                if answer is None:
                    messages = await self._do(keyed, request)
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

        outer = db.transaction.set(keyed.connection)
        try:
            await self.app(request.scope, request.receive, keep)
        finally:
            db.transaction.reset(outer)
        status, content = messages[0]["status"], b"".join(m.get("body", b"") for m in messages)
        if status < 500:
            # A refusal too may have stored something, such as that it was tried.
            await to_thread.run_sync(keyed.commit, status, content)
        return messages

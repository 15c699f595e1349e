"""How often: the requests of one caller, and what may be tried only so many times."""

import hashlib
import ipaddress
import logging
import math
import time
from datetime import timedelta
from functools import lru_cache
from typing import Any

import limits
from fastapi import HTTPException, Request
from limits.aio.storage import MemoryStorage
from limits.errors import StorageError
from limits.storage import storage_from_string
from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, delete, select
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps.auth import caller, client_address
from pamps.config import settings
from pamps.errors import refusal
from pamps.loops import PerLoop
from pamps.metrics import count_sign_in
from pamps.models.auth import Attempt

logger = logging.getLogger(__name__)

Limit = tuple[int, int]
# How many attempts in how many minutes.
SIGN_INS_PER_ADDRESS = 5, 5
SIGN_INS = 25, 60
SIGN_UPS = 5, 30
LONGEST = timedelta(minutes=60)
# Each attempt takes so many out of the table that count for nothing any more.
SWEEP = 100
# What must work for a caller who has used up their requests, to keep a stranger out: signing out,
# and changing the password, which has a limit of its own.
NEVER_REFUSED = ("POST", "/logout"), ("PUT", "/user/me/password")
# How long a request waits for Redis at most.
REDIS_SECONDS = 1


@lru_cache(maxsize=1024)
def network(address: str) -> str:
    """What a client is taken to own: an IPv4 address, or of IPv6 a network of 64 bits."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address  # of a unix socket, say
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((int(ip), 64), strict=False))


def _too_often(seconds: int) -> str:
    return f"Too often: try again in {seconds} seconds"


def _hash(*words: str) -> bytes:
    return hashlib.sha256("\0".join(words).encode()).digest()


def _attempt(
    session: Session, subject: bytes, address: str, limit: Limit, per_address: Limit | None = None
) -> Attempt:
    """Puts an attempt on record. Raises HTTPException 429 if it is one too many."""
    # One after the other, or of many at once each would see the others' attempts missing.
    lock = int.from_bytes(subject[:8], signed=True)
    session.execute(select(func.pg_advisory_xact_lock(lock)))
    attempt = Attempt(subject=subject, address=_hash(network(address)))
    same = col(Attempt.subject) == subject
    wait = _wait(session, limit, same)
    if per_address and not wait:
        wait = _wait(session, per_address, same & (col(Attempt.address) == attempt.address))
    if wait:
        # Who is meant cannot be read from it, but which lines mean the same.
        logger.warning("throttled", extra={"address": address, "subject": subject.hex()[:8]})
        if per_address:  # which is what sign-ins have, and changes of a password
            count_sign_in("throttled")
        raise HTTPException(429, _too_often(wait), {"Retry-After": str(wait)})
    session.add(attempt)
    oldest = select(Attempt.id).order_by(col(Attempt.id)).limit(SWEEP)
    old = delete(Attempt).where(col(Attempt.id).in_(oldest.with_for_update(skip_locked=True)))
    session.exec(old.where(col(Attempt.date) < func.now() - LONGEST))
    return attempt


def _wait(session: Session, limit: Limit, which: ColumnElement[bool]) -> int:
    """Seconds until one more of those attempts is within the limit."""
    amount, minutes = limit
    age = func.extract("epoch", func.clock_timestamp() - Attempt.date)
    newest_first = select(age).where(which).order_by(col(Attempt.id).desc())
    seconds = session.exec(newest_first.offset(amount - 1).limit(1)).first()
    return 0 if seconds is None else max(0, math.ceil(minutes * 60 - seconds))


def attempt_sign_up(session: Session, address: str) -> None:
    """Counts a sign-up; the caller commits. Raises HTTPException 429."""
    if settings.rate_limit.enabled:
        _attempt(session, _hash("sign-up", network(address)), address, SIGN_UPS)


def attempt_sign_in(session: Session, username: str, address: str) -> Attempt | None:
    """Counts a sign-in as failed, until it is forgiven; the caller commits.

    Names count whether there is such a user or not. Raises HTTPException 429.
    """
    if not settings.rate_limit.enabled:
        return None
    return _attempt(session, _of(username), address, SIGN_INS, SIGN_INS_PER_ADDRESS)


def _of(username: str) -> bytes:
    return _hash("sign-in", username.lower())


def forgive(session: Session, attempt: Attempt | None) -> None:
    """The password was right: so far, nobody has failed to sign in here. The caller commits."""
    if attempt:
        same = col(Attempt.subject) == attempt.subject, col(Attempt.address) == attempt.address
        session.exec(delete(Attempt).where(*same))


def pardon(session: Session, username: str) -> None:
    """Lets an account sign in again, however often it failed to. The caller commits."""
    session.exec(delete(Attempt).where(col(Attempt.subject) == _of(username)))


class _Memory(MemoryStorage):
    """Counts in this process. Forgets what is over once a minute.

    The library itself would look through all callers with each request.
    """

    forgets = 0.0

    async def _MemoryStorage__schedule_expiry(self) -> None:
        if time.monotonic() > self.forgets:
            self.forgets = time.monotonic() + 60
            await super()._MemoryStorage__schedule_expiry()  # type: ignore[misc]


class RateLimit:
    """Limits the requests of each caller, and says with every answer how many are left."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.limit = limits.parse(settings.rate_limit.requests)
        uri = settings.rate_limit.storage_uri
        options: dict[str, Any] = {"implementation": "redispy", "socket_timeout": REDIS_SECONDS}
        memory = _Memory()

        def storage() -> Any:
            if not uri:
                return memory
            return storage_from_string(f"async+{uri}", wrap_exceptions=True, **options)

        # Asked directly: the strategy of `limits` around it asks for each number twice.
        self.storages = PerLoop(storage)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Who asks whether the service is well asks often.
        exempt = scope["type"] != "http" or scope["path"].startswith("/health/")
        if exempt or not settings.rate_limit.enabled:
            await self.app(scope, receive, send)
            return
        request, app = Request(scope), self.app
        try:
            claims = caller(request)
        except HTTPException:
            claims = None  # A bad token is refused further in, and counts for the address.
        key = f"user {claims.sub}" if claims else network(client_address(request))
        storage = self.storages.get()
        window = self.limit.key_for(key)
        try:
            count = await storage.incr(window, self.limit.get_expiry())
            end = await storage.get_expiry(window)
        except StorageError as error:
            # Better no limit than no service.
            logger.error("the rate limit cannot be counted: %r", error.storage_error)
            await app(scope, receive, send)
            return
        reset, left = max(1, math.ceil(end - time.time())), max(0, self.limit.amount - count)
        asked = scope["method"], scope["path"].rstrip("/")
        if count > self.limit.amount and asked not in NEVER_REFUSED:
            logger.warning("throttled", extra={"caller": key})
            app = refusal(request, 429, _too_often(reset), {"Retry-After": str(reset)})

        async def send_with_limit(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"ratelimit-limit", b"%d" % self.limit.amount),
                    (b"ratelimit-remaining", b"%d" % left),
                    (b"ratelimit-reset", b"%d" % reset),
                ]
            await send(message)

        await app(scope, receive, send_with_limit)

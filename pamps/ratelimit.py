"""How often: the requests of one caller, and what may be tried only so many times."""

import hashlib
import ipaddress
import logging
import math
import time
from datetime import timedelta
from typing import Any

import limits
from fastapi import HTTPException, Request
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError
from limits.storage import storage_from_string
from sqlalchemy import func, or_
from sqlmodel import Session, col, delete, select
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps.auth import caller, client_address
from pamps.config import settings
from pamps.errors import refusal
from pamps.models.auth import Attempt

logger = logging.getLogger(__name__)

# How many attempts in how many minutes.
SIGN_INS_PER_ADDRESS = 5, 5
SIGN_INS = 25, 60
SIGN_UPS = 5, 30
LONGEST = timedelta(minutes=60)
# Each attempt takes so many out of the table that count for nothing any more.
SWEEP = 100
# How long a request waits for Redis at most.
REDIS_SECONDS = 1


def network(address: str) -> str:
    """What a client is taken to own: an IPv4 address, or of IPv6 a network of 64 bits."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address  # of a unix socket, say
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((int(ip), 64), strict=False))


def _wait(seconds: int) -> str:
    return f"Too often: try again in {seconds} seconds"


def _key(*what: str) -> bytes:
    return hashlib.sha256("\0".join(what).encode()).digest()


def _attempt(session: Session, limit: tuple[int, int], *what: str) -> Attempt:
    """Puts an attempt on record. Raises HTTPException 429 if it is one too many."""
    amount, minutes = limit
    key = _key(*what)
    # One after the other, or of many at once each would see the others' attempts missing.
    lock = int.from_bytes(key[:8], signed=True)
    session.execute(select(func.pg_advisory_xact_lock(lock)))
    age = func.extract("epoch", func.clock_timestamp() - Attempt.date)
    before = select(age).where(Attempt.key == key).order_by(col(Attempt.id).desc())
    seconds = session.exec(before.offset(amount - 1).limit(1)).first()
    if seconds is not None and seconds < minutes * 60:
        logger.warning("throttled", extra={"what": what[0]})
        wait = math.ceil(minutes * 60 - seconds)
        raise HTTPException(429, _wait(wait), {"Retry-After": str(wait)})
    attempt = Attempt(key=key)
    session.add(attempt)
    return attempt


def _sweep(session: Session) -> None:
    oldest = select(Attempt.id).order_by(col(Attempt.id)).limit(SWEEP)
    old = delete(Attempt).where(col(Attempt.id).in_(oldest.with_for_update(skip_locked=True)))
    session.exec(old.where(col(Attempt.date) < func.now() - LONGEST))


def attempt_sign_up(session: Session, address: str) -> None:
    """Counts a sign-up; the caller commits. Raises HTTPException 429."""
    if settings.rate_limit.enabled:
        _attempt(session, SIGN_UPS, "sign-up", network(address))
        _sweep(session)


def attempt_sign_in(session: Session, username: str, address: str) -> list[Attempt]:
    """Counts a sign-in as failed, until it is forgiven; the caller commits.

    Names count whether there is such a user or not. Raises HTTPException 429.
    """
    if not settings.rate_limit.enabled:
        return []
    name = username.lower()
    # All take the two locks in this order.
    attempts = [
        _attempt(session, SIGN_INS, "sign-in", name),
        _attempt(session, SIGN_INS_PER_ADDRESS, "sign-in", name, network(address)),
    ]
    _sweep(session)
    return attempts


def forgive(session: Session, attempts: list[Attempt]) -> None:
    """The password was right: so far, nobody has failed to sign in here. The caller commits."""
    if attempts:
        of_account, of_address = attempts
        same = or_(col(Attempt.id) == of_account.id, col(Attempt.key) == of_address.key)
        session.exec(delete(Attempt).where(same))


def pardon(session: Session, username: str) -> None:
    """Lets an account sign in again whose failures were too many in all. The caller commits."""
    session.exec(delete(Attempt).where(col(Attempt.key) == _key("sign-in", username.lower())))


class RateLimit:
    """Limits the requests of each caller, and says with every answer how many are left."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.limit = limits.parse(settings.rate_limit.requests)
        uri = settings.rate_limit.storage_uri or "memory://"
        options: dict[str, Any] = {"implementation": "redispy", "socket_timeout": REDIS_SECONDS}
        storage = storage_from_string(f"async+{uri}", wrap_exceptions=True, **options)
        self.limiter = FixedWindowRateLimiter(storage)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not settings.rate_limit.enabled:
            await self.app(scope, receive, send)
            return
        request, app = Request(scope), self.app
        try:
            claims = caller(request)
        except HTTPException:
            claims = None  # A bad token is refused further in, and counts for the address.
        key = f"user {claims.sub}" if claims else network(client_address(request))
        try:
            allowed = await self.limiter.hit(self.limit, key)
            stats = await self.limiter.get_window_stats(self.limit, key)
        except StorageError as error:
            # Better no limit than no service.
            logger.error("the rate limit cannot be counted: %r", error.storage_error)
            await app(scope, receive, send)
            return
        reset = max(1, math.ceil(stats.reset_time - time.time()))
        if not allowed:
            logger.warning("throttled", extra={"what": "requests", "caller": key})
            app = refusal(request, 429, _wait(reset), {"Retry-After": str(reset)})

        async def send_with_limit(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["RateLimit-Limit"] = str(self.limit.amount)
                headers["RateLimit-Remaining"] = str(stats.remaining)
                headers["RateLimit-Reset"] = str(reset)
            await send(message)

        await app(scope, receive, send_with_limit)

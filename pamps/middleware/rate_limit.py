"""Limits: the requests of one caller, failed sign-ins, and sign-ups."""

import ipaddress
import logging
import math
import time
from collections import OrderedDict
from datetime import timedelta
from functools import lru_cache, partial
from threading import Lock
from typing import Any

import limits
from fastapi import HTTPException, Request
from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from limits.errors import StorageError
from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, delete, not_, select
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps.auth import client_address, find_user, read_claims
from pamps.config import settings
from pamps.errors import error_response
from pamps.loops import PerLoop
from pamps.middleware.deadline import is_health_check
from pamps.models.session import Attempt
from pamps.models.user import folded
from pamps.observability.metrics import count_sign_in
from pamps.security import keyed_hash

logger = logging.getLogger(__name__)

# Sign-out, and the change of the password, which has a limit of its own. They have to work when a
# stranger has used up a user's requests, as they stop the stranger.
EXEMPT = ("POST", "/logout"), ("PUT", "/user/me/password")
REDIS_TIMEOUT_SECONDS = 1


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
    return f"Too many requests, try again in {seconds} seconds"


def _limit(name: str) -> RateLimitItem:
    return limits.parse(getattr(settings.rate_limit, name))


def _account(username: str) -> bytes:
    return keyed_hash("sign-in account", folded(username.strip()))


def _record(
    session: Session, attempt: Attempt, address: str, checks: dict[str, ColumnElement[bool]]
) -> None:
    """Store an attempt. `checks` are the limits, and which attempts count for each of them.

    Raises HTTPException 429 if it is one too many.
    """
    # One after the other, or of many at once each would see the others' attempts missing. Those
    # from one address to several accounts do not wait for each other: so few can be at this point
    # at the same time, as many as there are sessions, that they are no way round a limit.
    lock = int.from_bytes(attempt.subject[:8], signed=True)
    session.execute(select(func.pg_advisory_xact_lock(lock)))
    if wait := max(_wait(session, _limit(name), which) for name, which in checks.items()):
        # Who is meant cannot be read from it, but which lines mean the same.
        logger.warning(
            "throttled", extra={"address": address, "subject": attempt.subject.hex()[:8]}
        )
        if "sign_ins" in checks:
            count_sign_in("throttled")
        raise HTTPException(429, _too_often(wait), {"Retry-After": str(wait)})
    session.add(attempt)
    session.flush()


def _wait(session: Session, limit: RateLimitItem, which: ColumnElement[bool]) -> int:
    """Seconds until one more of those attempts is within the limit."""
    age = func.extract("epoch", func.clock_timestamp() - Attempt.date)
    # One that is yet to come was stored before the database's clock was set back.
    newest_first = select(age).where(which, age >= 0).order_by(col(Attempt.id).desc())
    seconds = session.exec(newest_first.offset(limit.amount - 1).limit(1)).first()
    return 0 if seconds is None else max(0, math.ceil(limit.get_expiry() - seconds))


def attempt_sign_up(session: Session, address: str) -> None:
    """Count a sign-up; the caller commits. Raises HTTPException 429."""
    if settings.rate_limit.enabled:
        here = keyed_hash("sign-up address", network(address))
        attempt = Attempt(subject=here, address=here)
        _record(session, attempt, address, {"sign_ups": col(Attempt.subject) == here})


def attempt_sign_in(session: Session, username: str, address: str) -> Attempt | None:
    """Count a sign-in as failed, until it is forgiven; the caller commits.

    Names count whether there is such a user or not. Raises HTTPException 429.
    """
    if not settings.rate_limit.enabled:
        return None
    here = keyed_hash("sign-in address", network(address))
    attempt = Attempt(subject=_account(username), address=here)
    to_account, from_here = col(Attempt.subject) == attempt.subject, col(Attempt.address) == here
    checks = {
        "sign_ins": to_account & from_here,
        "sign_ins_per_account": to_account,
        "sign_ins_per_address": from_here,
    }
    _record(session, attempt, address, checks)
    return attempt


def forgive(session: Session, attempt: Attempt | None) -> None:
    """The password was right: so far, nobody has failed to sign in here. The caller commits."""
    if attempt:
        same = col(Attempt.subject) == attempt.subject, col(Attempt.address) == attempt.address
        session.exec(delete(Attempt).where(*same))


def pardon(session: Session, username: str) -> None:
    """Lets an account sign in again, however often it failed to. The caller commits."""
    session.exec(delete(Attempt).where(col(Attempt.subject) == _account(username)))


def expired_attempts(most: int) -> Any:
    """A statement that deletes up to `most` attempts which count for nothing any more."""
    names = "sign_ins", "sign_ins_per_account", "sign_ins_per_address", "sign_ups"
    longest = timedelta(seconds=max(_limit(name).get_expiry() for name in names))
    oldest = select(Attempt.id).order_by(col(Attempt.id)).limit(most)
    counting = col(Attempt.date).between(func.now() - longest, func.now())
    old = delete(Attempt).where(col(Attempt.id).in_(oldest.with_for_update(skip_locked=True)))
    return old.where(not_(counting))


class _MemoryCounter:
    """Count the requests of each caller in this process, in windows that begin with the first one.

    The storage of the `limits` package measures time by a clock that can be set, which would let
    callers wait for hours, or ask more often.
    """

    def __init__(self, limit: RateLimitItem) -> None:
        self._seconds = limit.get_expiry()
        # When the window of each caller ends, and the number of requests in it. All windows have
        # the same length, so they end in the order in which they began.
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = Lock()  # as there may be several event loops

    def _window(self, caller: str) -> tuple[float, int]:
        now = time.monotonic()
        while self._windows and next(iter(self._windows.values()))[0] <= now:
            self._windows.popitem(last=False)
        return self._windows.get(caller, (now + self._seconds, 0))

    async def count(self, caller: str) -> int:
        """Return the number of requests of a caller."""
        with self._lock:
            return self._window(caller)[1]

    async def add(self, caller: str) -> tuple[int, float]:
        """Count a request; return the number so far, and the seconds until the window ends."""
        with self._lock:
            end, count = self._window(caller)
            self._windows[caller] = end, count + 1
        return count + 1, end - time.monotonic()


class _RedisCounter:
    """Count the requests of each caller for all processes. Raises StorageError."""

    def __init__(self, limit: RateLimitItem, uri: str) -> None:
        self._limit = limit
        # Used directly: the strategy of `limits` around it reads each number twice.
        make = partial(
            RedisStorage,
            f"async+{uri}",
            wrap_exceptions=True,
            implementation="redispy",
            socket_timeout=REDIS_TIMEOUT_SECONDS,
        )
        self._storages: PerLoop[RedisStorage] = PerLoop(make)

    async def count(self, caller: str) -> int:
        """Return the number of requests of a caller."""
        return await self._storages.get().get(self._limit.key_for(caller))

    async def add(self, caller: str) -> tuple[int, float]:
        """Count a request; return the number so far, and the seconds until the window ends."""
        window = self._limit.key_for(caller)
        storage = self._storages.get()
        count = await storage.incr(window, self._limit.get_expiry())
        return count, await storage.get_expiry(window) - time.time()


class RateLimitMiddleware:
    """Limit the requests of each caller; all responses say how many remain."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.limit = _limit("requests")
        uri = settings.rate_limit.storage_uri
        self.counter = _RedisCounter(self.limit, uri) if uri else _MemoryCounter(self.limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_health_check(scope) or not settings.rate_limit.enabled:
            await self.app(scope, receive, send)
            return
        request, app = Request(scope), self.app
        try:
            caller = await self._caller(request)
            count, seconds = await self.counter.add(caller)
        except StorageError as error:
            # Better no limit than no service.
            logger.error("the rate limit cannot be counted: %r", error.storage_error)
            await app(scope, receive, send)
            return
        reset, remaining = max(1, math.ceil(seconds)), max(0, self.limit.amount - count)
        if count > self.limit.amount and (scope["method"], scope["path"]) not in EXEMPT:
            logger.warning("throttled", extra={"caller": caller})
            app = error_response(request, 429, _too_often(reset), {"Retry-After": str(reset)})

        async def send_with_limit(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"ratelimit-limit", b"%d" % self.limit.amount),
                    (b"ratelimit-remaining", b"%d" % remaining),
                    (b"ratelimit-reset", b"%d" % reset),
                ]
            await send(message)

        await app(scope, receive, send_with_limit)

    async def _caller(self, request: Request) -> str:
        """Return whose limit a request counts for: a signed-in user's, or the network's."""
        try:
            claims = read_claims(request)
        except HTTPException:
            claims = None  # The route responds to a bad token.
        if claims:
            user = f"user {claims.sub}"
            # A caller who is over the limit costs no query.
            if await self.counter.count(user) >= self.limit.amount or await find_user(request):
                return user
        return network(client_address(request))

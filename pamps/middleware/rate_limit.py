"""The limit of how many requests a caller may send in a window of time."""

import logging
import math
import time
from collections import OrderedDict
from threading import Lock

import limits
from fastapi import Request
from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from limits.errors import StorageError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps.auth import client_address, find_user, read_claims
from pamps.config import settings
from pamps.errors import error_response
from pamps.loops import PerLoop
from pamps.middleware import BaseMiddleware
from pamps.middleware.deadline import is_health_check
from pamps.middleware.idempotency import SIGN_OUT_PATH
from pamps.throttling import client_network

logger = logging.getLogger(__name__)

# A user whose token was stolen must still be able to revoke it. The change of the
# password has a limit of its own.
NEVER_REFUSED = ("POST", SIGN_OUT_PATH), ("PUT", "/user/me/password")
REDIS_TIMEOUT_SECONDS = 1


class _MemoryCounter:
    """Count the requests of each caller in this process, in windows that begin with the first one.

    It uses a monotonic clock; the storage of the `limits` package uses wall time, which can be
    changed.
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
        self._storages = PerLoop(
            lambda: RedisStorage(
                f"async+{uri}",
                wrap_exceptions=True,
                implementation="redispy",
                socket_timeout=REDIS_TIMEOUT_SECONDS,
            )
        )

    async def count(self, caller: str) -> int:
        """Return the number of requests of a caller."""
        return await self._storages.get().get(self._limit.key_for(caller))

    async def add(self, caller: str) -> tuple[int, float]:
        """Count a request; return the number so far, and the seconds until the window ends."""
        window = self._limit.key_for(caller)
        storage = self._storages.get()
        count = await storage.incr(window, self._limit.get_expiry())
        return count, await storage.get_expiry(window) - time.time()


class RateLimitMiddleware(BaseMiddleware):
    """Limit the requests of each caller; all responses say how many remain."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self.limit = limits.parse(settings.rate_limit.requests)
        uri = settings.rate_limit.storage_uri
        self.counter = _RedisCounter(self.limit, uri) if uri else _MemoryCounter(self.limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_health_check(scope) or not settings.rate_limit.enabled:
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
        if count > self.limit.amount and (scope["method"], scope["path"]) not in NEVER_REFUSED:
            logger.warning("request limit exceeded", extra={"caller": caller})
            detail = f"Too many requests, try again in {reset} seconds"
            app = error_response(scope, 429, detail, {"Retry-After": str(reset)})

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
        if claims := read_claims(request):
            user = f"user {claims.sub}"
            # A caller who is over the limit costs no query.
            if await self.counter.count(user) >= self.limit.amount or await find_user(request):
                return user
        return client_network(client_address(request))

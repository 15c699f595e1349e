"""The access log: one line and one id for each request."""

import logging
import time
from random import getrandbits

from starlette.types import Message, Receive, Scope, Send

from pamps.middleware import BaseMiddleware
from pamps.observability.logs import request_id

logger = logging.getLogger("pamps.request")


class RequestLogMiddleware(BaseMiddleware):
    """Log each request under an id, which its response has in the header `X-Request-ID`.

    The log has the path of a request, and neither its query nor its headers or body.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.perf_counter(), 0
        # An id need not be secret, and a secret one costs a system call.
        id_ = f"{getrandbits(128):032x}"  # nosec B311
        request_id.set(id_)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", id_.encode())]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            fields = {
                "method": scope["method"],
                "path": scope["raw_path"][:200].decode("latin-1"),
                "status": status,
                "address": (scope["client"] or ("",))[0],
                "milliseconds": round((time.perf_counter() - started) * 1000, 1),
            }
            logger.info("request", extra=fields)

"""What Pamps logs, and the id that a request has in the log and in its answer."""

import logging
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from random import getrandbits
from typing import Any

from pythonjsonlogger.orjson import OrjsonFormatter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps.config import settings

logger = logging.getLogger("pamps.request")
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class _Formatter(OrjsonFormatter):
    """One JSON object a line, or the same for people."""

    def __init__(self) -> None:
        names = {"asctime": "time", "levelname": "level", "name": "logger"}
        super().__init__([*names, "message"], rename_fields=names)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return time.replace("+00:00", "Z")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        log_data.pop("color_message", None)  # uvicorn's, for terminals
        if not log_data["request_id"]:
            del log_data["request_id"]
        return log_data

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        if settings.log.json:
            return super().jsonify_log_record(log_data)
        start = [log_data.pop(name) for name in ("time", "level", "logger", "message")]
        trace = log_data.pop("exc_info", None)
        more = [f"{name}={value!r}" for name, value in log_data.items()]
        return " ".join(start + more) + (f"\n{trace}" if trace else "")


class _Handler(logging.StreamHandler[Any]):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(_Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        record.request_id = request_id.get()
        super().emit(record)


def configure() -> None:
    """Logs to stderr; does nothing where somebody else has set up the root logger already."""
    logging.basicConfig(handlers=[_Handler()], level=logging.WARNING)
    for name in ("pamps", "uvicorn"):
        logging.getLogger(name).setLevel(logging.INFO)


class RequestLog:
    """Gives each request an id and a line in the log: no headers, query or body, only its path."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # An id need not be a secret, and one that is costs a system call.
        started, status, id_ = time.perf_counter(), 0, f"{getrandbits(128):032x}"  # nosec B311
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
            fields = {"method": scope["method"], "path": scope["raw_path"][:200].decode("latin-1")}
            fields |= {"status": status, "address": (scope["client"] or ("",))[0]}
            fields["milliseconds"] = round((time.perf_counter() - started) * 1000, 1)
            logger.info("request", extra=fields)

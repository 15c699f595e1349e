"""What Pamps logs, and the id that a request has in the log and in its answer."""

import logging
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pythonjsonlogger.json import JsonFormatter
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pamps.config import settings

logger = logging.getLogger("pamps.request")
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class _Formatter(JsonFormatter):
    """One JSON object a line, or the same for people."""

    def __init__(self) -> None:
        names = {"asctime": "time", "levelname": "level", "name": "logger"}
        super().__init__([*names, "message"], rename_fields=names)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return time.replace("+00:00", "Z")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        log_data.pop("color_message", None)  # uvicorn's, for terminals
        if id_ := request_id.get():
            log_data["request_id"] = id_
        return log_data

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        if settings.log.json:
            return super().jsonify_log_record(log_data)
        start = [log_data.pop(name) for name in ("time", "level", "logger", "message")]
        trace = log_data.pop("exc_info", None)
        more = [f"{name}={value!r}" for name, value in log_data.items()]
        return " ".join(start + more) + (f"\n{trace}" if trace else "")


def configure() -> None:
    """Logs to stderr; does nothing where somebody else has set up the root logger already."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
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
        started, status, id_ = time.perf_counter(), 0, uuid4().hex
        request_id.set(id_)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = id_
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            fields = {"method": scope["method"], "path": scope["raw_path"][:200].decode("latin-1")}
            fields |= {"status": status, "address": (scope["client"] or ("",))[0]}
            fields["milliseconds"] = round((time.perf_counter() - started) * 1000, 1)
            logger.info("request", extra=fields)

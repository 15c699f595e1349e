"""The format of the log: JSON or text."""

import logging
from contextvars import ContextVar
from datetime import UTC, datetime

import orjson

from pamps.config import settings

# The id of the request that the current task handles, for each line of the log.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

# Other attributes of a log record are extra fields. `color_message` is for uvicorn's terminal.
STANDARD_FIELDS = {*vars(logging.makeLogRecord({})), "color_message"}


class Formatter(logging.Formatter):
    """Format a log record as a JSON object on one line, or as text."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        extra = {key: value for key, value in vars(record).items() if key not in STANDARD_FIELDS}
        if id_ := request_id.get():
            extra["request_id"] = id_
        trace = self.formatException(record.exc_info) if record.exc_info else record.stack_info
        if settings.log.json_lines:
            if trace:
                extra["exc_info"] = trace
            return orjson.dumps({**fields, **extra}, default=str).decode()
        line = " ".join([*fields.values(), *(f"{name}={value!r}" for name, value in extra.items())])
        return f"{line}\n{trace}" if trace else line


def configure() -> None:
    """Log to stderr, unless another program has configured the root logger already."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    for name in ("pamps", "uvicorn"):
        logging.getLogger(name).setLevel(logging.INFO)

"""Traces of requests: FastAPI makes the spans, OpenTelemetry's exporter sends them.

Without `telemetry.endpoint` there are no traces, and the extra `telemetry` need not be installed.
"""

from threading import Thread
from typing import TYPE_CHECKING

from fastapi.telemetry import TelemetryConfig

from pamps.config import settings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

STOP_SECONDS = 3

_provider: "TracerProvider | None" = None


def config() -> TelemetryConfig:
    """Return FastAPI's telemetry settings: spans if there is an endpoint, and nothing else.

    FastAPI's own logs are off, as they contain the text of every error and so what clients sent.
    """
    global _provider
    if not settings.telemetry.endpoint:
        return {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
    # Everything else is configured by the environment variables OTEL_….
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class WithoutQuery(SpanProcessor):
        """Remove the query of a URL, which may contain a password or a token."""

        def on_start(self, span: Span, parent_context: "Context | None" = None) -> None:
            if "url.query" in (span.attributes or {}):
                span.set_attribute("url.query", "REDACTED")

    resource = Resource.create({SERVICE_NAME: "pamps"})
    _provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    endpoint = f"{settings.telemetry.endpoint.rstrip('/')}/v1/traces"
    _provider.add_span_processor(WithoutQuery())
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    return {
        "tracer_provider": _provider,
        "metrics": False,
        # One span a request: spans for the parts of a request cost several times as much.
        "operation_spans": False,
        "logs": False,
        "auto_configure": False,
    }


def send_remaining_spans() -> None:
    """Send the remaining spans, for at most STOP_SECONDS."""
    if _provider is not None:
        # The exporter would try for half a minute, and the process would be killed before that.
        shutdown = Thread(target=_provider.shutdown, daemon=True)
        shutdown.start()
        shutdown.join(STOP_SECONDS)

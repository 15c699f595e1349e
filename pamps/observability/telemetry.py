"""Traces of requests, sent by OpenTelemetry's protocol: FastAPI makes the spans.

Without `telemetry.endpoint` there are none, and the packages of the extra `telemetry` not needed.
"""

from threading import Thread
from typing import Any

from fastapi.telemetry import TelemetryConfig

from pamps.config import settings

STOP_SECONDS = 3

_provider: Any = None


def config() -> TelemetryConfig:
    """What FastAPI is to do: spans, if they are wanted, and nothing else.

    Its logs would have the text of every error, and with it what a client has sent.
    """
    global _provider
    if not settings.telemetry.endpoint:
        return {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
    # Here, as few want it. The environment's OTEL_… variables tell them the rest.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class WithoutQuery(SpanProcessor):
        """Takes out what comes after the `?` of an address: it may be a password, or a token."""

        def on_start(self, span: Span, parent_context: Any = None) -> None:
            if "url.query" in (span.attributes or {}):
                span.set_attribute("url.query", "REDACTED")

    name = Resource.create({SERVICE_NAME: "pamps"})
    _provider = TracerProvider(resource=name, shutdown_on_exit=False)
    endpoint = f"{settings.telemetry.endpoint.rstrip('/')}/v1/traces"
    _provider.add_span_processor(WithoutQuery())
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    return {
        "tracer_provider": _provider,
        "metrics": False,
        # One span a request: those of its parts cost several times as much.
        "operation_spans": False,
        "logs": False,
        "auto_configure": False,
    }


def stop() -> None:
    """Sends what has not been sent yet, if somebody takes it soon."""
    if _provider is not None:
        # By itself it would try for half a minute, and be killed before.
        last = Thread(target=_provider.shutdown, daemon=True)
        last.start()
        last.join(STOP_SECONDS)

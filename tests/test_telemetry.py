"""Traces, as a collector of OpenTelemetry's gets them from `pamps serve`."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import ClassVar

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests import canary
from tests.servers import served

USER = {"email": "ana@pamps.com", "username": "ana", "password": canary.password("ana")}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector(BaseHTTPRequestHandler):
    requests: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.requests.append((self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    Collector.requests.clear()
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def attributes(span: Span) -> dict[str, object]:
    return {
        item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes
    }


def test_traces(endpoint, other_database):
    settings = {"PAMPS_TELEMETRY__endpoint": endpoint, "PAMPS_DB__uri": other_database}
    settings["PAMPS_SERVER__web"] = "false"  # its route is that of all paths that no other has
    with served(settings, "--workers", "1") as (process, client):
        assert client.post("/user/", json=USER).status_code == 201
        tokens = client.post(f"/token?password={canary.WORD}", data=USER).json()
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        headers["traceparent"] = f"00-{TRACE}-00f067aa0ba902b7-01"
        assert client.get("/user/ana/?limit=1", headers=headers).status_code == 200
        assert client.get("/nowhere").status_code == 404
        process.terminate()  # which sends what is left
    assert {path for path, _ in Collector.requests} == {"/v1/traces"}
    spans: dict[str, Span] = {}
    for _, body in Collector.requests:
        canary.assert_unseen(body.decode("latin-1"))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {item.key: item.value.string_value for item in resource.resource.attributes}
            assert names["service.name"] == "pamps"
            for scope in resource.scope_spans:
                spans |= {span.name: span for span in scope.spans}
    roots = {"POST /user/", "POST /token", "GET /user/{username}/", "GET"}
    assert roots == {name for name, span in spans.items() if span.kind == Span.SPAN_KIND_SERVER}
    profile = spans["GET /user/{username}/"]
    assert profile.trace_id.hex() == TRACE
    told = attributes(profile)
    assert told["url.path"] == "/user/ana/"
    assert told["url.query"] == "REDACTED"
    assert told["http.response.status_code"] == 200
    assert attributes(spans["GET"])["http.response.status_code"] == 404


def test_a_collector_that_is_away_holds_nothing_up(other_database):
    settings = {"PAMPS_DB__uri": other_database, "PAMPS_TELEMETRY__endpoint": "http://127.0.0.1:9"}
    settings["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = "10"  # it tries each batch for seconds
    with served(settings, "--workers", "1") as (process, client):
        for _ in range(100):
            assert client.get("/post/").status_code == 200
        process.terminate()
        process.wait(timeout=15)


def test_off_by_default(endpoint, other_database):
    """Whatever the environment tells other programs."""
    settings = {
        "PAMPS_DB__uri": other_database,
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
    }
    with served(settings, "--workers", "1") as (process, client):
        assert client.get("/post/").status_code == 200
        process.terminate()
    assert Collector.requests == []

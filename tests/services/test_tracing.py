"""One trace through both hops: with OpenTelemetry's SDK its spans join up, without it the caller's passes unchanged."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import pytest
from litestar.types import ASGIApp
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from services import tracing
from services.command.app import command_application
from services.embedder.app import Embedder
from services.projector.app import project
from services.query.app import query_application
from services.settings import Settings
from tests.running import Running
from tests.services.query.conftest import alive, by_letters

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"
DOCUMENT = "/v1/collections/c/documents/a%2Fb"
PATIENCE = 60.0


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The SDK, set up as `opentelemetry-instrument` would, for this test alone."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


@asynccontextmanager
async def client(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that runs in this process."""
    transport = httpx.ASGITransport(cast(Any, app))
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://test", timeout=PATIENCE) as http:
        yield http


@asynccontextmanager
async def pipeline(settings: Settings) -> AsyncIterator[None]:
    """An embedder and a projector in this process."""
    stop = asyncio.Event()
    running = [asyncio.create_task(Embedder(settings).run(stop)), asyncio.create_task(project(settings, stop))]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*running)


def named(spans: tuple[ReadableSpan, ...], name: str) -> ReadableSpan:
    """The only span of that name."""
    found = [span for span in spans if span.name == name]
    assert len(found) == 1, [span.name for span in spans]
    return found[0]


def parent(span: ReadableSpan) -> tuple[int, int]:
    """The trace and the span that this one stands below."""
    assert span.parent is not None
    return span.parent.trace_id, span.parent.span_id


def identity(span: ReadableSpan) -> tuple[int, int]:
    """What names a span."""
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def link(answer: httpx.Response, rel: str) -> str:
    """The `Link` header that names this span for the document."""
    assert answer.status_code == 200, answer.text
    prefix = f'<{DOCUMENT}>; rel="{rel}"; traceparent="'
    value = answer.headers["link"]
    assert value.startswith(prefix)
    return value.removeprefix(prefix).removesuffix('"')


async def test_spans_join_up_in_one_trace(installed: Settings, exporter: InMemorySpanExporter) -> None:
    """Caller, command, embedder, projector: each below the one before; a query links to what it shows."""
    async with (
        client(command_application(installed.kafka_settings(), installed.reader_dsn)) as command,
        client(query_application(installed.reader_dsn, by_letters())) as query,
        pipeline(installed),
    ):
        written = await command.put(DOCUMENT, json={"text": "rings"}, headers={"traceparent": CALLER})
        wait = {"Nenrin-At-Least": written.headers["nenrin-version"], "Prefer": "wait=30"}
        one = await query.get(DOCUMENT, headers=wait)
        found = await query.post("/v1/collections/c/search", json={"query": "rings", "mode": "text"}, headers=wait)
    spans = exporter.get_finished_spans()
    served = named(spans, "PUT /v1/collections/{collection}/documents/{document_id}")
    sent, embedded = named(spans, "send documents"), named(spans, "embed documents")
    assert parent(served) == (int(TRACE, 16), int("b7ad6b7169203331", 16))
    assert parent(sent) == identity(served)
    assert parent(named(spans, "apply documents")) == identity(sent)
    assert parent(embedded) == identity(sent)
    assert parent(named(spans, "apply passages")) == identity(embedded)
    assert [served.kind, sent.kind, embedded.kind] == [SpanKind.SERVER, SpanKind.PRODUCER, SpanKind.CONSUMER]

    got = named(spans, "GET /v1/collections/{collection}/documents/{document_id}")
    searched = named(spans, "POST /v1/collections/{collection}/search")
    for answer, rel, shown, made in ((one, "self", got, sent), (found, "item", searched, embedded)):
        assert link(answer, rel) == f"00-{TRACE}-{identity(made)[1]:016x}-01"
        assert [(each.context.trace_id, each.context.span_id) for each in shown.links] == [identity(made)]
        assert identity(shown)[0] != int(TRACE, 16)


def test_what_is_not_sampled_has_no_spans(exporter: InMemorySpanExporter) -> None:
    """A log is read again and again: only what its caller wants recorded is."""
    tracer = tracing.tracer()
    assert tracer is not None
    for traceparent in (None, CALLER[:-1] + "0"):
        assert tracing.consuming(tracer, "embed", traceparent, {}) is None
    assert exporter.get_finished_spans() == ()


def test_without_an_sdk_there_is_no_tracer() -> None:
    """And a write carries what its caller sent."""
    assert tracing.tracer() is None
    with tracing.producing(None, "documents", CALLER) as carried:
        assert carried == CALLER


def test_without_an_sdk_a_trace_passes_unchanged(whole_stack: Running) -> None:
    """Through both hops into both rows, and back in the answers; what isn't one is left out."""
    command, query = (
        httpx.Client(base_url=whole_stack.endpoints[name], timeout=PATIENCE) for name in ("command", "query")
    )

    def put(sent: str) -> httpx.Response:
        return command.put(DOCUMENT, json={"text": "rings"}, headers={"traceparent": sent})

    wait = {"Nenrin-At-Least": put(CALLER).headers["nenrin-version"], "Prefer": "wait=30"}
    search = {"query": "rings", "mode": "text"}
    assert link(query.get(DOCUMENT, headers=wait), "self") == CALLER
    assert link(query.post("/v1/collections/c/search", json=search, headers=wait), "item") == CALLER
    wait["Nenrin-At-Least"] = put("00-1-2-01").headers["nenrin-version"]
    assert "link" not in query.get(DOCUMENT, headers=wait).headers

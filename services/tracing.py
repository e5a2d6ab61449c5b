"""Spans of OpenTelemetry, where its SDK is set up; where it isn't, nothing is made and traces pass as they came.

The API alone would make objects that do nothing, for each request and each event. So a process asks once, when it
starts, whether there is anybody to report to; without a tracer none of this costs more than looking for one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from schemas.traceparent import HEADER

Attributes = Mapping[str, AttributeValue]

_NOBODY = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)
_PROPAGATOR = TraceContextTextMapPropagator()


def tracer() -> Tracer | None:
    """The tracer of the provider that is set up; None where there is none."""
    provider = trace.get_tracer_provider()
    return None if isinstance(provider, _NOBODY) else provider.get_tracer("nenrin")


@contextmanager
def producing(tracer: Tracer | None, topic: str, traceparent: str | None) -> Iterator[str | None]:
    """A span around a write to a topic, below the current one; yields the `traceparent` that the event carries on.

    Without a tracer that is the caller's own.
    """
    if tracer is None:
        yield traceparent
        return
    attributes = {"messaging.system": "kafka", "messaging.operation.name": "send", "messaging.destination.name": topic}
    with tracer.start_as_current_span(f"send {topic}", kind=SpanKind.PRODUCER, attributes=attributes) as span:
        yield traceparent_of(span)


def consuming(
    tracer: Tracer, name: str, traceparent: str | None, attributes: Attributes, began: int | None = None
) -> Span | None:
    """A span for work on an event, below the one that the event names, which must be sampled; the caller ends it.

    `began` is in nanoseconds since 1970, now if absent. An event without a trace begins none: a log is read many
    times, and by itself.
    """
    if traceparent is None:
        return None
    context = _context(traceparent)
    if not trace.get_current_span(context).get_span_context().trace_flags.sampled:
        return None
    return tracer.start_span(name, context, SpanKind.CONSUMER, attributes, start_time=began)


def place(topic: str, partition: int, offset: int) -> Attributes:
    """The attributes of a record's place in the log, by OpenTelemetry's conventions."""
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
        "messaging.kafka.offset": offset,
    }


def ended(spans: Iterable[Span | None]) -> None:
    """End what was begun."""
    for span in spans:
        if span is not None:
            span.end()


def link_to(traceparents: Sequence[str | None]) -> None:
    """Link the current span, if it is recorded, to these."""
    span = trace.get_current_span()
    if span.is_recording():
        for traceparent in traceparents:
            if traceparent is not None:
                span.add_link(trace.get_current_span(_context(traceparent)).get_span_context())


def traceparent_of(span: Span) -> str | None:
    """What names this span to whoever comes next."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, trace.set_span_in_context(span))
    return carrier.get(HEADER)


def _context(traceparent: str) -> Context:
    # not the current context: an event's trace has nothing to do with whatever runs here
    return _PROPAGATOR.extract({HEADER: traceparent}, Context())

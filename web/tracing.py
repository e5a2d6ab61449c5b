"""A span for every request to the API, below the one that its `traceparent` names."""

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import bound_contextvars

TRACED = "/v1/"
"""Questions about health and metrics come every few seconds, and nobody follows them anywhere."""

_PROPAGATOR = TraceContextTextMapPropagator()


def traced(app: ASGIApp, tracer: Tracer | None) -> ASGIApp:
    """The application with a span around each request; without a tracer just as it is."""
    return app if tracer is None else Traced(app, tracer)


class Traced:
    """Wraps an application; what it does while it answers is below the request's span, and logs name the trace."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, inside its span."""
        if scope["type"] != ScopeType.HTTP or not scope["path"].startswith(TRACED):
            await self._app(scope, receive, send)
            return
        method, status = scope["method"], 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        attributes = {"http.request.method": method, "url.path": scope["path"]}
        with (
            self._tracer.start_as_current_span(method, _caller(scope), SpanKind.SERVER, attributes) as span,
            bound_contextvars(trace_id=f"{span.get_span_context().trace_id:032x}"),
        ):
            try:
                await self._app(scope, receive, noting)
            finally:
                if route := scope.get("path_template", ""):
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_status(StatusCode.ERROR)


def _caller(scope: Scope) -> Context:
    carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return _PROPAGATOR.extract(carrier, Context())

"""A service's application: its handlers, with all that both services share around them."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp
from prometheus_client import CollectorRegistry

from web import problems
from web.metering import Metered
from web.raw_path import RawPath
from web.status import Readiness, documentation, status_routes

VERSION = "1"
"""Of the HTTP interface: the `/v1` in its paths."""


def application(
    title: str,
    handlers: Sequence[HTTPRouteHandler],
    *,
    readiness: Callable[[], Awaitable[Readiness]],
    registry: CollectorRegistry,
    lifespan: Sequence[Callable[[Litestar], AbstractAsyncContextManager[None]]] = (),
) -> ASGIApp:
    """Build the ASGI application of a service; `serve` runs it."""
    app = Litestar(
        [*handlers, *status_routes(readiness, registry)],
        lifespan=list(lifespan),
        logging_config=None,
        openapi_config=documentation(title, VERSION),
        plugins=[problems.plugin()],
        request_max_body_size=problems.BODY_LIMIT,
    )
    return Metered(RawPath(app), registry)

"""A service's application: its handlers, with all that both services share around them."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from web import problems
from web.documenting import Documentation, Vocabulary
from web.metering import Metered
from web.options import Allowing
from web.raw_path import RawPath
from web.readiness import Readiness
from web.registry import Registry
from web.status import documentation, status_routes

VERSION = "1"
"""Of the HTTP interface: the `/v1` in its paths."""


def application(
    vocabulary: Vocabulary,
    handlers: Sequence[HTTPRouteHandler],
    *,
    readiness: Callable[[], Awaitable[Readiness]],
    registry: Registry,
    lifespan: Sequence[Callable[[Litestar], AbstractAsyncContextManager[None]]] = (),
) -> ASGIApp:
    """Build the ASGI application of a service; `serve` runs it."""
    document = Documentation(vocabulary)
    app = Litestar(
        [*handlers, *status_routes(readiness, registry, document)],
        lifespan=list(lifespan),
        logging_config=None,
        openapi_config=documentation(vocabulary.title, VERSION, document),
        plugins=[problems.plugin()],
        request_max_body_size=problems.BODY_LIMIT,
    )
    return Metered(RawPath(Allowing(app)), registry)

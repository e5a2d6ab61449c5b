"""What a service says about itself: alive, ready, metrics, and what it can be asked."""

from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from web.documenting import Documentation, operation_id
from web.problems import documented, unavailable
from web.readiness import Readiness
from web.registry import Registry

METRICS = CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8")
"""Without what Litestar adds to every text."""

MEDIA_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-standalone-preset.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


class Health(msgspec.Struct):
    """The process lives."""

    status: str = "alive"


def status_routes(
    readiness: Callable[[], Awaitable[Readiness]], registry: Registry, document: Documentation
) -> list[HTTPRouteHandler]:
    """`/healthz`, `/readyz`, `/metrics` and `/openapi.json`."""

    @get("/healthz", summary="Does the process live?")
    async def healthz() -> Health:
        """Only that: what it needs may be missing."""
        return Health()

    @get("/readyz", summary="Is everything there that an answer needs?", responses=documented(503))
    async def readyz() -> Readiness:
        """Each dependency is "ok" or says why it is missing; `notes` keep nothing from being answered."""
        found = await readiness()
        if found.missing:
            raise unavailable(
                "not-ready",
                "Not ready",
                "; ".join(f"{name}: {why}" for name, why in found.missing.items()),
                missing=found.missing,
                dependencies=found.dependencies,
                notes=found.notes,
            )
        return found

    @get("/metrics", summary="Numbers for Prometheus", media_type=METRICS)
    async def metrics() -> bytes:
        """In Prometheus' text format; the reference explains each."""
        await registry.fetch()
        return generate_latest(registry)

    @get("/openapi.json", include_in_schema=False, sync_to_thread=False)
    def openapi(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return document.of(request.app)

    return [healthz, readyz, metrics, openapi]


class _Page(SwaggerRenderPlugin):
    """Swagger UI, showing the completed document."""

    def __init__(self, document: Documentation, **addresses: Any) -> None:
        super().__init__(**addresses)
        self._document = document

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, self._document.of(request.app))


def documentation(title: str, version: str, document: Documentation) -> OpenAPIConfig:
    """The OpenAPI document, and Swagger UI at `/docs` from this machine's own files."""
    page = _Page(
        document,
        path="/",
        js_url="/docs/swagger-ui-bundle.js",
        css_url="/docs/swagger-ui.css",
        standalone_preset_js_url="/docs/swagger-ui-standalone-preset.js",
        favicon='<link rel="icon" href="/docs/favicon-32x32.png">',
    )
    router = Router("/docs", route_handlers=[_asset], include_in_schema=False, after_request=_no_html)
    return OpenAPIConfig(
        title=title,
        version=version,
        openapi_router=router,
        render_plugins=[page],
        use_handler_docstrings=True,
        operation_id_creator=operation_id,
    )


@get([f"/{name}" for name in MEDIA_TYPES], sync_to_thread=False)
def _asset(request: Request[Any, Any, Any]) -> Response[bytes]:
    name = request.scope["path"].rpartition("/")[2]
    return Response(_vendored(name), media_type=MEDIA_TYPES[name], headers={"Cache-Control": "max-age=86400"})


@cache
def _vendored(name: str) -> bytes:
    return files("swagger_ui").joinpath("static", name).read_bytes()


def _no_html(response: Response[Any]) -> Response[Any]:
    """Litestar answers an unknown path below `/docs` with a page of HTML; ours are problems everywhere."""
    if response.status_code == 404:
        raise NotFoundException
    return response

"""The small HTTP endpoint of a process that serves nothing else: `/metrics`, `/healthz` and `/readyz`.

It runs in a thread of its own, on the standard library's server: a process that does nothing but compute still says
so. Where no port is set there is none.
"""

import threading
from collections.abc import Callable, Iterable
from socketserver import TCPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import msgspec
import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from services.settings import SettingsError
from web.readiness import Readiness

Answer = Callable[[], Readiness]

log = structlog.get_logger()


class _Server(ThreadingWSGIServer):
    def server_bind(self) -> None:
        """Bind, without asking DNS for the host's full name as the base does: that can take seconds, for nothing."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: each scrape would be a line."""


def serve_status(host: str, port: int | None, registry: CollectorRegistry, readiness: Answer) -> None:
    """Answer from now on until the process ends. Raises `SettingsError` where the port can't be had."""
    if port is None:
        return
    try:
        server = make_server(host, port, status(registry, readiness), _Server, _Quiet)
    except OSError as error:
        raise SettingsError(f"NENRIN_METRICS_PORT={port}: can't listen at {host}:{port} ({error.strerror})") from error
    threading.Thread(target=server.serve_forever, name="status", daemon=True).start()
    log.info("status", url=f"http://{host}:{port}")


def status(registry: CollectorRegistry, readiness: Answer) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """The WSGI application."""
    metrics = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                shown: Iterable[bytes] = metrics(environ, start_response)
                return shown
            case "/healthz":
                code, body = "200 OK", b'{"status":"alive"}'
            case "/readyz":
                code, body = _ready(readiness())
            case _:
                code, body = "404 Not Found", _problem(404, "no-such-path", "No such path")
        kind = "application/json" if code.startswith("200") else "application/problem+json"
        start_response(code, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    return answer


def _ready(found: Readiness) -> tuple[str, bytes]:
    if not found.missing:
        return "200 OK", msgspec.json.encode(found)
    detail = "; ".join(f"{name}: {why}" for name, why in found.missing.items())
    return "503 Service Unavailable", _problem(503, "not-ready", "Not ready", detail=detail, missing=found.missing)


def _problem(status: int, slug: str, title: str, **members: Any) -> bytes:
    return msgspec.json.encode({"type": f"/problems/{slug}", "title": title, "status": status, **members})

"""Serving an ASGI application in this very process: its pid is the worker's, and SIGTERM ends it cleanly."""

import asyncio
import gc
import resource
import signal
import socket
from typing import Any

import msgspec
import structlog
import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from web.problems import Problem

TIDYING = 2.0
"""Seconds for what is left to do once no request is in flight."""

_STOP = (signal.SIGTERM, signal.SIGINT)

CONNECTIONS = 8192
"""How many may be open at once; the next one is accepted when another has ended. A request that waits holds one."""

log = structlog.get_logger()


def serve(app: ASGIApp, host: str, port: int, *, grace: float) -> None:
    """Serve until SIGTERM or SIGINT, then let what is in flight end: requests longer than `grace` seconds get a 503.

    Raises `OSError` where the address cannot be had.
    """
    _claim_port(host, port)
    _allow_files()
    # What start-up made stays: no collection needs to look at it again, and none takes long enough to be noticed.
    gc.collect()
    gc.freeze()
    uvloop.run(_serve(InFlight(app), host, port, grace))
    for number in _STOP:
        signal.signal(number, signal.SIG_IGN)  # a second one must not make a failure of what is over


def _claim_port(host: str, port: int) -> None:
    """Fail where the port is taken: granian shares it (SO_REUSEPORT), and half the requests would go elsewhere."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)


def _allow_files() -> None:
    """As many open files as this process may have: on many systems it begins with 1,024, and a connection is one."""
    begun, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS if most == resource.RLIM_INFINITY else min(most, 2 * CONNECTIONS)
    if 0 <= begun < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


async def _serve(app: "InFlight", host: str, port: int, grace: float) -> None:
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
        backlog=1024,
        backpressure=CONNECTIONS,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOP:
        loop.add_signal_handler(number, stop.set)
    serving = loop.create_task(server.serve())
    stopping = loop.create_task(stop.wait())
    log.info("serving", url=f"http://{host}:{port}")
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        stopping.cancel()
        await serving
        raise RuntimeError("the HTTP server ended by itself; its error is above")
    server.stop()  # type: ignore[no-untyped-call]  # granian publishes no types for it
    await asyncio.wait({serving}, timeout=grace)
    app.end()
    await asyncio.wait_for(serving, TIDYING)
    log.info("stopped")


class InFlight:
    """Wraps an application and knows the requests in flight, so that leaving does not wait for the patient ones."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tasks: set[asyncio.Task[Any]] = set()
        self._leaving = False

    def end(self) -> None:
        """Answer all requests in flight with 503, now."""
        self._leaving = True
        for task in self._tasks:
            task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; say that the service leaves when it does."""
        task = asyncio.current_task()
        if scope["type"] != ScopeType.HTTP or task is None:
            await self._app(scope, receive, send)
            return
        self._tasks.add(task)
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not self._leaving:
                raise
            await _say_leaving(send)
        finally:
            self._tasks.discard(task)


async def _say_leaving(send: Send) -> None:
    body = Problem("/problems/stopping", "The service is stopping", 503, "Ask again in a moment.")
    headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"1")]
    start: Message = {"type": "http.response.start", "status": 503, "headers": headers}
    await send(start)
    end: Message = {"type": "http.response.body", "body": msgspec.json.encode(body), "more_body": False}
    await send(end)

"""A service that answers as it is told: a real HTTP server, for what a real stack can't be made to do on demand."""

import asyncio
import inspect
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nenrin import AsyncSession, Session
from schemas.versions import Version

HANG_UP = 0
"""A status that is none: the connection is closed without an answer."""


@dataclass(frozen=True)
class Answer:
    """What the server says to one request."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A request as it came, and when, in seconds."""

    method: str
    path: str
    headers: Mapping[str, str]
    preferences: list[str]
    body: bytes
    at: float


@dataclass
class Service:
    """Where the server listens, and what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def serving(*answers: Answer) -> Iterator[Service]:
    """A server that gives these answers in their order, and the last one from then on."""
    script = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length) if length else b"".join(self._chunks())
            preferences = self.headers.get_all("prefer", [])
            service.asked.append(
                Asked(self.command, self.path, dict(self.headers.items()), preferences, body, time.monotonic())
            )
            said = script.pop(0) if len(script) > 1 else script[0]
            if said.status == HANG_UP:
                self.close_connection = True
                return
            content = json.dumps(said.body).encode()
            self.send_response(said.status)
            for name, value in {**said.headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def _chunks(self) -> Iterator[bytes]:
            if self.headers.get("transfer-encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    yield self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the tests look at what was asked."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = Service(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def opened(kind: type[Session] | type[AsyncSession], url: str, **options: Any) -> Iterator[Any]:
    """A session of either kind. One for an event loop has a loop of its own, so that a test is told once for both."""
    if kind is Session:
        with Session(url, url, **options) as session:
            yield session
    else:
        with asyncio.Runner() as runner:
            later = _InALoop(runner, AsyncSession(url, url, **options))
            yield later
            later.close()


class _InALoop:
    """An `AsyncSession` whose calls return when they are done."""

    def __init__(self, runner: asyncio.Runner, session: AsyncSession) -> None:
        self._runner = runner
        self._session = session

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._session, name)
        return self._waiting(member) if inspect.ismethod(member) or inspect.isfunction(member) else member

    def _waiting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def done(*args: Any, **keywords: Any) -> Any:
            result = method(*args, **keywords)
            if inspect.isasyncgen(result):
                return [each async for each in result]
            return await result if inspect.isawaitable(result) else result

        return lambda *args, **keywords: self._runner.run(done(*args, **keywords))


def ask(kind: type[Session] | type[AsyncSession], url: str, what: Callable[[Any], Any], **options: Any) -> Any:
    """Do one thing with a session of either kind, and return what it answers."""
    with opened(kind, url, **options) as session:
        return what(session)


def at(*positions: int, incarnation: str = "x") -> Version:
    """The version of these positions in the documents topic, partitions from 0."""
    return Version({"documents": dict(enumerate(positions))}, {"documents": incarnation})


def written(version: Version) -> Answer:
    """What the command service answers to a write."""
    token = version.token()
    return Answer(202, {"document_id": "a", "version": token}, {"Nenrin-Version": token})


def found(version: Version) -> Answer:
    """What the query service answers to a search that finds nothing."""
    return Answer(200, {"results": [], "projection": projection(version)}, {"Nenrin-Version": version.token()})


def refusal(status: int, seen: Version | None = None, **members: Any) -> Answer:
    """A problem."""
    headers = {} if seen is None else {"Nenrin-Version": seen.token()}
    return Answer(status, {"type": "/problems/x", "title": "T", "detail": "D", **members}, headers)


def projection(version: Version) -> dict[str, Any]:
    """The member `projection` of an answer at this version."""
    lag = {"lag_events": 0, "lag_seconds": 0.0, "state": "live"}
    return {"name": "passages", "generation": 1, "version": version.token(), **lag}

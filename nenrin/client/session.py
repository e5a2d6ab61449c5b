"""A session with a stack: it sends calls, and remembers what it wrote."""

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from nenrin.client import answers, calls
from nenrin.client.calls import ANY, Call, Freshness, Service
from nenrin.client.errors import Unreachable
from schemas import versions
from schemas.versions import Version

T = TypeVar("T")

TIMEOUT = httpx.Timeout(10.0, read=45.0)
"""Seconds. A reader that waits for a version hears nothing for up to 30."""


class Session:
    """Writes and reads, over HTTP. `written` covers everything that this session wrote: ask for it to read that back.

    Threads may share a session.
    """

    def __init__(self, command: str, query: str, http: httpx.Client | None = None) -> None:
        self._urls = {Service.COMMAND: command.rstrip("/"), Service.QUERY: query.rstrip("/")}
        self._http = http or httpx.Client(timeout=TIMEOUT)
        self._lock = threading.Lock()
        self.written = Version()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def put(  # noqa: PLR0913  (a member of the document each)
        self,
        collection: str,
        document_id: str,
        text: str,
        *,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        source_uri: str | None = None,
    ) -> Version:
        """Add a document or replace it; returns when Kafka has it."""
        return self._write(
            calls.put(collection, document_id, text, title=title, metadata=metadata, source_uri=source_uri)
        )

    def remove(self, collection: str, document_id: str) -> Version:
        """Remove a document; returns when Kafka has the event."""
        return self._write(calls.remove(collection, document_id))

    def search(
        self, collection: str, query: str, *, mode: str = "dense", k: int = 10, freshness: Freshness = ANY
    ) -> answers.Found:
        """The best passage of each of the best `k` documents."""
        return self.send(calls.search(collection, query, mode, k, freshness))

    def document(self, collection: str, document_id: str, *, freshness: Freshness = ANY) -> answers.Shown:
        """One document. Raises `NotThere`."""
        return self.send(calls.document(collection, document_id, freshness))

    def collections(self, *, freshness: Freshness = ANY) -> answers.Collections:
        """Every collection, with counts."""
        return self.send(calls.collections(freshness))

    def projections(self) -> answers.Projections:
        """How far every projection is."""
        return self.send(calls.projections())

    def parked(self, projection: str) -> answers.Parked:
        """The events that a projection could not apply."""
        return self.send(calls.parked(projection))

    def send(self, call: Call[T]) -> T:
        """Send any call and read its answer."""
        response = self.exchange(call)
        return call.read(response.status_code, response.content, response.headers.get("retry-after"))

    def exchange(self, call: Call[Any]) -> httpx.Response:
        """Send any call; the answer as it came."""
        url = self._urls[call.service] + call.path
        try:
            return self._http.request(call.method, url, content=call.content, headers=dict(call.headers))
        except httpx.HTTPError as error:
            raise Unreachable(
                f"the {call.service} service at {self._urls[call.service]} does not answer"
                f" ({_reason(error)}): is the stack still running?"
            ) from error

    def _write(self, call: Call[answers.Written]) -> Version:
        version = versions.parse(self.send(call).version)
        with self._lock:
            self.written = versions.merge(self.written, version)
        return version


def _reason(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__

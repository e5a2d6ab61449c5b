"""Every call of the two services as a value: what to send, and what the answer is. No I/O.

A session sends them; a second session, an asynchronous one say, needs nothing that isn't here.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

from nenrin.client import answers
from nenrin.client.errors import UnexpectedAnswer, problem
from schemas.versions import Version

T = TypeVar("T")


class Service(StrEnum):
    """Who answers a call."""

    COMMAND = "command"
    QUERY = "query"


class Freshness(msgspec.Struct, frozen=True):
    """What a reader asks of an answer: to cover `at_least`, and how many seconds it will wait for that."""

    at_least: Version | None = None
    wait: float = 0

    def headers(self) -> dict[str, str]:
        """As request headers."""
        found = {}
        if self.at_least is not None:
            found["Nenrin-At-Least"] = self.at_least.token()
        if self.wait:
            found["Prefer"] = f"wait={self.wait:.3f}"
        return found


ANY = Freshness()


class Call(msgspec.Struct, Generic[T], frozen=True):
    """A request, and the shape of its answer."""

    service: Service
    method: str
    path: str
    answer: type[T]
    content: bytes | None = None
    headers: Mapping[str, str] = {}

    def read(self, status: int, body: bytes, retry_after: str | None) -> T:
        """The answer, or the problem that came instead, raised."""
        try:
            if status < 400:
                return msgspec.json.decode(body, type=self.answer)
            found = problem(status, body, retry_after)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnexpectedAnswer(
                f"{self.method} {self.path} was answered with {status} and what is not Nenrin's JSON ({error}):"
                f" is that a Nenrin {self.service} service, of this version?"
            ) from error
        raise found


def put(  # noqa: PLR0913  (a member of the document each)
    collection: str,
    document_id: str,
    text: str,
    *,
    title: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    source_uri: str | None = None,
) -> Call[answers.Written]:
    """Add a document, or replace it as a whole."""
    members = {"text": text, "title": title, "metadata": metadata, "source_uri": source_uri}
    content = _json({name: value for name, value in members.items() if value is not None})
    path = _document(collection, document_id)
    return Call(Service.COMMAND, "PUT", path, answers.Written, content, _JSON)


def remove(collection: str, document_id: str) -> Call[answers.Written]:
    """Remove a document."""
    return Call(Service.COMMAND, "DELETE", _document(collection, document_id), answers.Written)


def search(collection: str, query: str, mode: str, k: int, freshness: Freshness = ANY) -> Call[answers.Found]:
    """Search a collection."""
    path = f"/v1/collections/{_segment(collection)}/search"
    content = _json({"query": query, "mode": mode, "k": k})
    return Call(Service.QUERY, "POST", path, answers.Found, content, _JSON | freshness.headers())


def document(collection: str, document_id: str, freshness: Freshness = ANY) -> Call[answers.Shown]:
    """Read one document."""
    return Call(Service.QUERY, "GET", _document(collection, document_id), answers.Shown, headers=freshness.headers())


def collections(freshness: Freshness = ANY) -> Call[answers.Collections]:
    """List the collections, with counts."""
    return Call(Service.QUERY, "GET", "/v1/collections", answers.Collections, headers=freshness.headers())


def projections() -> Call[answers.Projections]:
    """How far every projection is."""
    return Call(Service.QUERY, "GET", "/v1/projections", answers.Projections)


def parked(projection: str) -> Call[answers.Parked]:
    """The events that a projection could not apply."""
    return Call(Service.QUERY, "GET", f"/v1/projections/{_segment(projection)}/parked", answers.Parked)


_JSON = {"content-type": "application/json"}


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


def _segment(name: str) -> str:
    # dots alone would be taken for steps in the path by everything on the way
    return name.replace(".", "%2E") if name in {".", ".."} else quote(name, safe="")


def _document(collection: str, document_id: str) -> str:
    return f"/v1/collections/{_segment(collection)}/documents/{_segment(document_id)}"

"""Every call of the two services as a value: what to send, and what the answer is. No I/O.

Both sessions have them as methods (`methods`), and send them; what either does is decided here.
"""

from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar, Unpack
from urllib.parse import quote, urlencode

import msgspec

from nenrin.client import answers
from nenrin.client.conditions import Conditions
from nenrin.client.documents import Draft, encoded, members
from nenrin.client.errors import UnexpectedAnswer, problem

T = TypeVar("T")

Mode = Literal["hybrid", "dense", "text"]


class Service(StrEnum):
    """Who answers a call."""

    COMMAND = "command"
    QUERY = "query"


class Call(msgspec.Struct, Generic[T], frozen=True):
    """A request, and the shape of its answer.

    `conditions` are those of a read, None for a write. `repeatable`: sending it again does no harm. `longest` is how
    many seconds its answer may take, None where that is the session's to say.
    """

    service: Service
    method: str
    path: str
    answer: type[T]
    content: bytes | Iterable[bytes] | AsyncIterable[bytes] | None = None
    content_type: str | None = None
    conditions: Conditions | None = None
    repeatable: bool = True
    longest: float | None = None

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

    def raw(self) -> "Call[msgspec.Raw]":
        """The same call, its answer the service's JSON as it came."""
        return Call(**{**msgspec.structs.asdict(self), "answer": msgspec.Raw})


def add(  # noqa: PLR0913  (a member of the document each)
    collection: str,
    document_id: str,
    text: str,
    *,
    title: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    source_uri: str | None = None,
) -> Call[answers.Written]:
    """Add a document, or replace it as a whole; returns when Kafka has it."""
    draft = members(Draft(document_id, text, title, metadata, source_uri))
    del draft["document_id"]  # the path names it
    path = _document(collection, document_id)
    return Call(Service.COMMAND, "PUT", path, answers.Written, encoded(draft), "application/json")


def add_many(collection: str, blocks: Iterable[bytes] | AsyncIterable[bytes]) -> Call[answers.BulkAdded]:
    """Add documents as blocks of NDJSON. What was sent is gone, so that it is never sent again by itself."""
    path = f"{_collection(collection)}/documents"
    return Call(
        Service.COMMAND, "POST", path, answers.BulkAdded, blocks, "application/x-ndjson", repeatable=False, longest=120
    )


def remove(collection: str, document_id: str) -> Call[answers.Written]:
    """Remove a document; returns when Kafka has the event."""
    return Call(Service.COMMAND, "DELETE", _document(collection, document_id), answers.Written)


def remove_collection(collection: str) -> Call[answers.CollectionRemoved]:
    """Remove all documents of a collection, an event each. Raises `CutOff` part-way; calling it again goes on."""
    # not repeated by itself: the count of what the first call removed would be lost
    return Call(
        Service.COMMAND, "DELETE", _collection(collection), answers.CollectionRemoved, repeatable=False, longest=600
    )


def search(  # noqa: PLR0913  (a member of the search each)
    collection: str,
    query: str | None = None,
    *,
    vector: Sequence[float] | None = None,
    mode: Mode | None = None,
    k: int = 10,
    filter: Mapping[str, Any] | None = None,
    **conditions: Unpack[Conditions],
) -> Call[answers.Found]:
    """The best passage of each of the best `k` documents, by words or by a vector.

    `filter` is over metadata: `{"lang": "en", "year": {"$gte": 2020}}`. `mode` is the service's own choice by default:
    hybrid for words, dense for a vector. Raises `Behind` when the answer would not meet the conditions.
    """
    numbers = None if vector is None else [float(number) for number in vector]
    asked = {"query": query, "vector": numbers, "mode": mode, "k": k, "filter": filter}
    return _asking(f"{_collection(collection)}/search", answers.Found, asked, conditions)


def document(collection: str, document_id: str, **conditions: Unpack[Conditions]) -> Call[answers.Shown]:
    """One document. Raises `NotThere`."""
    return _reading(_document(collection, document_id), answers.Shown, conditions)


def documents(collection: str, ids: Sequence[str], **conditions: Unpack[Conditions]) -> Call[answers.Documents]:
    """At most 1,000 documents by their ids, in that order; None for those that are not there."""
    return _asking(f"{_collection(collection)}/documents/get", answers.Documents, {"ids": list(ids)}, conditions)


def page(
    collection: str, *, cursor: str | None = None, limit: int = 100, **conditions: Unpack[Conditions]
) -> Call[answers.Page]:
    """Up to `limit` (at most 1,000) documents of a collection without their texts, from `cursor` on."""
    asked = urlencode({"limit": limit} | ({} if cursor is None else {"cursor": cursor}))
    return _reading(f"{_collection(collection)}/documents?{asked}", answers.Page, conditions)


def collections(**conditions: Unpack[Conditions]) -> Call[answers.Collections]:
    """Every collection, with counts."""
    return _reading("/v1/collections", answers.Collections, conditions)


def projections(**conditions: Unpack[Conditions]) -> Call[answers.Projections]:
    """How far every projection is: as it is now, whatever the session has written and seen."""
    return _reading("/v1/projections", answers.Projections, Conditions(at_least=None) | conditions)


def projection(name: str, **conditions: Unpack[Conditions]) -> Call[answers.ProjectionStatus]:
    """How far one projection is, as it is now."""
    path = f"/v1/projections/{_segment(name)}"
    return _reading(path, answers.ProjectionStatus, Conditions(at_least=None) | conditions)


def parked(
    projection: str, *, cursor: str | None = None, limit: int = 1_000, **conditions: Unpack[Conditions]
) -> Call[answers.Parked]:
    """Up to `limit` (at most 1,000) events that a projection could not apply, from `cursor` on, without contents."""
    asked = urlencode({"limit": limit} | ({} if cursor is None else {"cursor": cursor}))
    return _reading(f"/v1/projections/{_segment(projection)}/parked?{asked}", answers.Parked, conditions)


def parked_event(
    projection: str, topic: str, partition: int, offset: int, **conditions: Unpack[Conditions]
) -> Call[answers.ParkedWhole]:
    """One event that a projection could not apply, with its headers and value. Raises `NotThere`."""
    place = f"{_segment(topic)}/{partition}/{offset}"
    return _reading(f"/v1/projections/{_segment(projection)}/parked/{place}", answers.ParkedWhole, conditions)


def _reading(path: str, answer: type[T], conditions: Conditions) -> Call[T]:
    return Call(Service.QUERY, "GET", path, answer, conditions=conditions)


def _asking(path: str, answer: type[T], body: Mapping[str, Any], conditions: Conditions) -> Call[T]:
    content = encoded({name: value for name, value in body.items() if value is not None})
    return Call(Service.QUERY, "POST", path, answer, content, "application/json", conditions)


def _segment(name: str) -> str:
    # dots alone would be taken for steps in the path by everything on the way
    return name.replace(".", "%2E") if name in {".", ".."} else quote(name, safe="", errors="surrogatepass")


def _collection(collection: str) -> str:
    return f"/v1/collections/{_segment(collection)}"


def _document(collection: str, document_id: str) -> str:
    return f"{_collection(collection)}/documents/{_segment(document_id)}"

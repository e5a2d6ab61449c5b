"""The derived topic: one record for every record of its source, with vectors or with the reason why there are none."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar

import msgspec

from schemas.documents import (
    CollectionName,
    DocumentAdded,
    DocumentId,
    DocumentRemoved,
    Metadata,
    SourceUri,
    Text,
    Title,
)
from schemas.fields import Natural

CONTENT_TYPE = b"application/msgpack"


class Kind(StrEnum):
    """The CloudEvents types of the derived topic."""

    EMBEDDED = "nenrin.passages.embedded.v1"
    REMOVED = "nenrin.passages.removed.v1"
    REJECTED = "nenrin.passages.rejected.v1"
    SKIPPED = "nenrin.passages.skipped.v1"


class Source(msgspec.Struct, frozen=True, rename={"since": "from"}):
    """Where in the source a record comes from, and what it covers.

    The record stands for the source offsets `since` (on the wire: `from`) up to but without `next`; those below
    `offset` held nothing: transaction markers and aborted records. `time` is the broker's, in milliseconds.
    """

    topic: str
    partition: Natural
    offset: Natural
    incarnation: str
    since: Natural
    next: Natural
    time: Natural


class Passage(msgspec.Struct, frozen=True):
    """A piece of a text, `text[start:end]` in code points, with its vector as little-endian float16 bytes."""

    ordinal: Natural
    start: Natural
    end: Natural
    vector: bytes


class Embedded(msgspec.Struct, frozen=True):
    """A document and its vectors."""

    kind: ClassVar[Kind] = Kind.EMBEDDED
    source: Source
    collection: CollectionName
    document_id: DocumentId
    text: Text
    passages: tuple[Passage, ...]
    title: Title | None = None
    metadata: Metadata = {}
    source_uri: SourceUri | None = None


class Removed(msgspec.Struct, frozen=True):
    """A document that is no more."""

    kind: ClassVar[Kind] = Kind.REMOVED
    source: Source
    collection: CollectionName
    document_id: DocumentId


class Rejected(msgspec.Struct, frozen=True):
    """An invalid source record: its bytes and headers as they came, and why."""

    kind: ClassVar[Kind] = Kind.REJECTED
    source: Source
    reason: str
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Skipped(msgspec.Struct, frozen=True):
    """Source offsets that hold nothing to fold: `events` of unknown type, markers, aborted records."""

    kind: ClassVar[Kind] = Kind.SKIPPED
    source: Source
    events: Natural = 0


Derived = Embedded | Removed | Rejected | Skipped
SHAPES: tuple[type[Embedded] | type[Removed] | type[Rejected] | type[Skipped], ...] = (
    Embedded,
    Removed,
    Rejected,
    Skipped,
)
_ENCODER = msgspec.msgpack.Encoder()


def embedded(source: Source, event: DocumentAdded, passages: tuple[Passage, ...]) -> Embedded:
    """The derived event of a document that was added."""
    return Embedded(
        source,
        event.collection,
        event.document_id,
        event.text,
        passages,
        event.title,
        event.metadata,
        event.source_uri,
    )


def removed(source: Source, event: DocumentRemoved) -> Removed:
    """The derived event of a document that was removed."""
    return Removed(source, event.collection, event.document_id)


def encode(event: Derived) -> bytes:
    """The value of a derived record."""
    return _ENCODER.encode(event)


def headers(event: Derived, encoder: str, traceparent: bytes | None = None) -> list[tuple[str, bytes]]:
    """The CloudEvents headers of a derived record; its id names the source record, so a repeat has the same one."""
    source = event.source
    found = [
        ("ce_specversion", b"1.0"),
        ("ce_id", f"{source.topic}/{source.partition}/{source.offset}".encode()),
        ("ce_source", f"/nenrin/embedder/{encoder}".encode()),
        ("ce_type", event.kind.encode()),
        ("ce_time", datetime.fromtimestamp(source.time / 1000, UTC).isoformat(timespec="milliseconds").encode()),
        ("content-type", CONTENT_TYPE),
    ]
    return found if traceparent is None else [*found, ("traceparent", traceparent)]

"""What a read model is: tables, and a pure fold. Everything else about a projection is the same for all of them."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec
from sqlalchemy import MetaData


class Place(msgspec.Struct, frozen=True):
    """What a record covers of the source (`since` up to but without `next`), and where reading goes on after it.

    `offset` is the source record's own. `read_next` is the next offset of the topic that is read: the same as `next`
    for a projection of the source, an offset of the derived topic for one that reads that. `time` is the broker's, ms.
    """

    topic: str
    partition: int
    offset: int
    since: int
    next: int
    read_next: int
    time: int


class Change(msgspec.Struct, frozen=True):
    """A valid event: what to fold."""

    event: Any


class Refusal(msgspec.Struct, frozen=True):
    """An invalid event: what to park."""

    reason: str


class Nothing(msgspec.Struct, frozen=True):
    """Offsets that hold nothing to fold: unknown types, transaction markers, aborted records."""

    events: int = 0


Content = Change | Refusal | Nothing


class Entry(msgspec.Struct, frozen=True):
    """One record of the log, as a projection sees it. Bytes and headers are kept in case it has to be parked.

    `traceparent` is that of the record, where it has a valid one.
    """

    place: Place
    content: Content
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    traceparent: str | None = None


class Order(StrEnum):
    """What the events of a key are to one another, and so what becomes of those behind one that was parked."""

    UPSERT = "upsert"
    """Each replaces the one before: the next good one heals what was parked."""
    APPEND = "append"
    """Each adds to those before: behind one that was parked they are parked too, until it is retried or skipped."""


class Folded(msgspec.Struct, frozen=True):
    """The last word of a batch on one document: `rows` by table name, none when it was removed.

    `documents` and `passages` count what is written. `content` and `vectors` are 64-bit hashes of it.
    """

    collection: str
    document_id: str
    rows: Mapping[str, Sequence[tuple[Any, ...]]] = {}
    documents: int = 0
    passages: int = 0
    content: int = 0
    vectors: int = 0


class ReadModel(Protocol):
    """A read model: one folder with its tables, its fold and its reads."""

    name: str
    shape: int
    """The version of its tables and its fold: another number wherever a generation has to be built anew for them."""
    order: Order
    tables: tuple[str, ...]
    """The tables that hold rows, the one with a row a document first, which has its `partition` too.

    All have `collection` and `document_id`.
    """
    tallied: str
    """SQL: passages, content hash and vector hash of a row of the first table."""

    def define(self, schema: str, dimensions: int | None) -> MetaData:
        """The tables in a generation's schema. `dimensions` is that of its encoder's vectors."""
        ...

    def columns(self, table: str) -> tuple[str, ...]:
        """The columns of `rows`, in order."""
        ...

    def evolve(self, entries: Sequence[Entry]) -> list[Folded]:
        """Fold a batch of one partition: the last event of a document wins. Pure."""
        ...

    def hashes(self, rows: Mapping[str, Sequence[Sequence[Any]]]) -> tuple[int, int]:
        """The content and vector hashes that `evolve` gave these rows of one document, by table as `columns` has them.

        Computed from what the rows hold, whatever hashes they carry. Pure.
        """
        ...

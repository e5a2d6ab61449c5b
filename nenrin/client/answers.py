"""What the services answer, as far as clients look. Members that are not known here are passed over."""

from typing import Any

import msgspec


class Projection(msgspec.Struct, frozen=True):
    """What an answer comes from, and how much of the log it has seen. Unknown lag is None, never 0."""

    name: str
    generation: int
    version: str
    state: str
    lag_events: int | None = None
    lag_seconds: float | None = None
    encoder: str | None = None
    head_observed_at: str | None = None
    parked: int = 0


class Written(msgspec.Struct, frozen=True):
    """A write that Kafka has acknowledged. `version` is the token that covers it."""

    document_id: str
    version: str


class RejectedLine(msgspec.Struct, frozen=True):
    """A document of many that was not taken: its place, from 1, and why."""

    line: int
    error: str


class BulkAdded(msgspec.Struct, frozen=True):
    """How many documents were taken and how many not; `rejected` has the first 1,000. `version` covers the former."""

    accepted: int
    rejected_count: int
    rejected: list[RejectedLine]
    version: str


class CollectionRemoved(msgspec.Struct, frozen=True):
    """A collection whose documents were all removed, `removed` of them by this call."""

    collection: str
    removed: int
    version: str


class Passage(msgspec.Struct, frozen=True):
    """A piece of a document, `start` to `end` in code points of its text."""

    ordinal: int
    start: int
    end: int
    text: str


class Hit(msgspec.Struct, frozen=True):
    """A document that was found, with its best passage. Higher scores are better."""

    document_id: str
    score: float
    passage: Passage
    title: str | None = None
    metadata: dict[str, Any] = {}


class Found(msgspec.Struct, frozen=True):
    """The answer to a search, best first."""

    results: list[Hit]
    projection: Projection


class Source(msgspec.Struct, frozen=True):
    """The record that made a document what it is."""

    topic: str
    partition: int
    offset: int


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A document without its text. `added_at` is the broker's time."""

    collection: str
    document_id: str
    added_at: str
    title: str | None = None
    metadata: dict[str, Any] = {}
    source_uri: str | None = None
    source: Source | None = None


class Document(Listed, frozen=True, kw_only=True):
    """A document as it is in the log."""

    text: str


class Shown(msgspec.Struct, frozen=True):
    """The answer to a read of one document."""

    document: Document
    projection: Projection


class Documents(msgspec.Struct, frozen=True):
    """Documents in the order of the ids that were asked for; None where there is none."""

    documents: list[Document | None]
    projection: Projection


class Page(msgspec.Struct, frozen=True):
    """Some of a collection's documents, in the order of their ids. `next_cursor` leads on; None at the end."""

    documents: list[Listed]
    projection: Projection
    next_cursor: str | None = None


class Count(msgspec.Struct, frozen=True):
    """A collection and what is in it."""

    name: str
    documents: int
    passages: int


class Collections(msgspec.Struct, frozen=True):
    """The answer to a list of collections."""

    collections: list[Count]
    projection: Projection


class Digest(msgspec.Struct, frozen=True):
    """What a generation holds: counts, and sums of row hashes as hexadecimal digits."""

    documents: int
    passages: int
    content: str
    vectors: str


class Generation(msgspec.Struct, frozen=True):
    """One build of a projection."""

    generation: int
    state: str
    lifecycle: str = ""
    encoder: str | None = None
    version: str | None = None
    heads: dict[str, dict[str, int | None]] = {}
    head_observed_at: str | None = None
    lag_events: int | None = None
    lag_seconds: float | None = None
    parked: int | None = None
    digest: Digest | None = None


class ProjectionStatus(msgspec.Struct, frozen=True):
    """A projection with its generations."""

    name: str
    live: int
    generations: list[Generation]

    @property
    def current(self) -> Generation:
        """The generation that readers are sent to."""
        return next(generation for generation in self.generations if generation.generation == self.live)


class Projections(msgspec.Struct, frozen=True):
    """The answer to a list of projections."""

    projections: list[ProjectionStatus]

    def named(self, name: str) -> Generation:
        """The live generation of a projection."""
        return next(projection.current for projection in self.projections if projection.name == name)


class Header(msgspec.Struct, frozen=True):
    """A Kafka header; `encoding` is "base64" where its bytes are not UTF-8."""

    name: str
    value: str | None
    encoding: str = "utf-8"


class Retried(msgspec.Struct, frozen=True):
    """That somebody had an event appended again; the offset of the copy is None while nobody knows it."""

    at: str
    by: str
    partition: int
    offset: int | None = None


class Skipped(msgspec.Struct, frozen=True):
    """That somebody gave an event up, and why."""

    at: str
    by: str
    reason: str


class ParkedEvent(msgspec.Struct, frozen=True):
    """An event that could not be applied. Its key is text, or base64 where its bytes are not UTF-8.

    `resolved_by` is the offset of the later event of the same key that took its place.
    """

    projection: str
    topic: str
    partition: int
    offset: int
    reason: str
    key: str | None = None
    key_encoding: str = "utf-8"
    value_bytes: int | None = None
    parked_at: str | None = None
    resolved_by: int | None = None
    retried: Retried | None = None
    skipped: Skipped | None = None


class ParkedContent(ParkedEvent, frozen=True):
    """The same with its headers, and the first 64 KiB of its value as text or base64."""

    value: str | None = None
    value_encoding: str = "utf-8"
    headers: list[Header] = []


class Parked(msgspec.Struct, frozen=True):
    """The events of a projection that could not be applied, and that nothing has resolved."""

    parked: list[ParkedEvent]
    projection: Projection
    next_cursor: str | None = None


class ParkedWhole(msgspec.Struct, frozen=True):
    """The answer to a read of one parked event."""

    event: ParkedContent
    projection: Projection

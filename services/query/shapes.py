"""The shapes of answers, for the OpenAPI document; what is not made by Postgres itself is made of these."""

from typing import Annotated

import msgspec
from msgspec import Meta

from projections.generations.read import Lifecycle
from projections.lag import StateName
from projections.reading import Standing
from schemas.documents import CollectionName, DocumentId, Metadata, SourceUri, Text, Title
from schemas.fields import Encoding, Instant, Natural, Seconds, Sum
from schemas.versions import Token


class PassageFound(msgspec.Struct):
    """`text[start:end]` of the document, in code points."""

    ordinal: Natural
    start: Natural
    end: Natural
    text: str


class Found(msgspec.Struct):
    """A document that a search found, by its best passage."""

    document_id: DocumentId
    title: Title | None
    score: float
    passage: PassageFound
    metadata: Metadata


class SearchAnswer(msgspec.Struct):
    """The best documents, best first; equal ones by id."""

    results: list[Found]
    projection: Standing


class SourcePlace(msgspec.Struct):
    """The record that made a document what it is."""

    topic: str
    partition: Natural
    offset: Natural


class Listed(msgspec.Struct):
    """A document without its text."""

    collection: CollectionName
    document_id: DocumentId
    title: Title | None
    metadata: Metadata
    source_uri: SourceUri | None
    added_at: Instant
    source: SourcePlace


class Whole(Listed):
    """A document."""

    text: Text


class DocumentAnswer(msgspec.Struct):
    """One document."""

    document: Whole
    projection: Standing


class DocumentsAnswer(msgspec.Struct):
    """Documents in the order of the ids that were sent; null where there is none."""

    documents: list[Whole | None]
    projection: Standing


class ListAnswer(msgspec.Struct):
    """A page of a collection, in the order of the ids' code points."""

    documents: list[Listed]
    next_cursor: str | None
    projection: Standing


class Collection(msgspec.Struct):
    """A collection that has documents."""

    name: CollectionName
    documents: Natural
    passages: Natural


class CollectionsAnswer(msgspec.Struct):
    """Every collection."""

    collections: list[Collection]
    projection: Standing


class DigestShown(msgspec.Struct, frozen=True):
    """Counts, and sums of 64-bit row hashes as 16 hexadecimal digits."""

    documents: Natural
    passages: Natural
    content: Sum
    vectors: Sum


class GenerationShown(msgspec.Struct, frozen=True):
    """A generation: how it stands, and what it holds.

    While its rows are loaded in bulk (it is `building`, and nobody can read it) little of that is known: `parked` and
    `digest` are null, as both lags are, and `version` is the token of nothing.
    """

    generation: int
    lifecycle: Annotated[str, Meta(extra_json_schema={"enum": list(Lifecycle)})]
    state: StateName
    encoder: str | None
    version: Token
    heads: dict[str, dict[str, Natural | None]]
    head_observed_at: Instant | None
    lag_events: Natural | None
    lag_seconds: Seconds | None
    parked: Natural | None
    digest: DigestShown | None


class ProjectionShown(msgspec.Struct, frozen=True):
    """A projection, and the number of its live generation."""

    name: str
    live: int
    generations: list[GenerationShown]


class ProjectionAnswer(ProjectionShown, frozen=True):
    """A projection; `projection` stands for its live generation."""

    projection: Standing


class ProjectionsAnswer(msgspec.Struct, frozen=True):
    """All projections."""

    projections: list[ProjectionShown]


class HeaderShown(msgspec.Struct, frozen=True):
    """A Kafka header; `encoding` is base64 where the bytes are not UTF-8."""

    name: str
    value: str | None
    encoding: Encoding


class RetriedShown(msgspec.Struct, frozen=True):
    """An event that an operator had appended to its topic again. `offset` is null while nobody knows it."""

    at: Instant
    by: str
    partition: Natural
    offset: Natural | None


class SkippedShown(msgspec.Struct, frozen=True):
    """An event that an operator gave up."""

    at: Instant
    by: str
    reason: str


class ParkedShown(msgspec.Struct, frozen=True):
    """A parked event. Its key is text, or base64 where its bytes are not UTF-8; of one over 4 KiB the beginning.

    `resolved_by` is the offset of the later event of the same key that took its place, `skipped` says who gave it up
    and why: both are null in a list. `retried` says where its copy lies.
    """

    projection: str
    topic: str
    partition: Natural
    offset: Natural
    key: str | None
    key_encoding: Encoding
    reason: str
    value_bytes: Natural | None
    parked_at: Instant
    resolved_by: Natural | None
    retried: RetriedShown | None
    skipped: SkippedShown | None


class ParkedWholeShown(ParkedShown, frozen=True):
    """A parked event with what it holds: `value` as text or base64, at most the first 64 KiB of `value_bytes`."""

    headers: list[HeaderShown]
    value: str | None
    value_encoding: Encoding


class ParkedEventAnswer(msgspec.Struct, frozen=True):
    """One parked event."""

    event: ParkedWholeShown
    projection: Standing


class ParkedAnswer(msgspec.Struct, frozen=True):
    """The events that could not be applied, and that nothing has resolved."""

    parked: list[ParkedShown]
    next_cursor: str | None
    projection: Standing

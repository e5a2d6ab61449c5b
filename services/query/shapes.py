"""The shapes of answers, for the OpenAPI document; what is not made by Postgres itself is made of these."""

from typing import Any

import msgspec

from projections.reading import Standing


class PassageFound(msgspec.Struct):
    """`text[start:end]` of the document, in code points."""

    ordinal: int
    start: int
    end: int
    text: str


class Found(msgspec.Struct):
    """A document that a search found, by its best passage."""

    document_id: str
    title: str | None
    score: float
    passage: PassageFound
    metadata: dict[str, Any]


class SearchAnswer(msgspec.Struct):
    """The best documents, best first; equal ones by id."""

    results: list[Found]
    projection: Standing


class SourcePlace(msgspec.Struct):
    """The record that made a document what it is."""

    topic: str
    partition: int
    offset: int


class Listed(msgspec.Struct):
    """A document without its text."""

    collection: str
    document_id: str
    title: str | None
    metadata: dict[str, Any]
    source_uri: str | None
    added_at: str
    source: SourcePlace


class Whole(Listed):
    """A document."""

    text: str


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

    name: str
    documents: int
    passages: int


class CollectionsAnswer(msgspec.Struct):
    """Every collection."""

    collections: list[Collection]
    projection: Standing


class DigestShown(msgspec.Struct, frozen=True):
    """Counts, and sums of 64-bit row hashes as 16 hexadecimal digits."""

    documents: int
    passages: int
    content: str
    vectors: str


class GenerationShown(msgspec.Struct, frozen=True):
    """A generation: how it stands, and what it holds."""

    generation: int
    lifecycle: str
    state: str
    encoder: str | None
    version: str
    heads: dict[str, dict[str, int | None]]
    head_observed_at: str | None
    lag_events: int | None
    lag_seconds: float | None
    parked: int
    digest: DigestShown


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
    encoding: str


class ParkedShown(msgspec.Struct, frozen=True):
    """A parked event. Key and value are text, or base64 where their bytes are not UTF-8.

    `value` holds at most the first 64 KiB of `value_bytes`.
    """

    projection: str
    topic: str
    partition: int
    offset: int
    key: str | None
    key_encoding: str
    reason: str
    value: str | None
    value_encoding: str
    value_bytes: int | None
    headers: list[HeaderShown]
    parked_at: str


class ParkedAnswer(msgspec.Struct, frozen=True):
    """The events that could not be applied and that no later one has healed."""

    parked: list[ParkedShown]
    projection: Standing

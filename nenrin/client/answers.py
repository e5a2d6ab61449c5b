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


class Passage(msgspec.Struct, frozen=True):
    """A piece of a document, `start` to `end` in code points of its text."""

    ordinal: int
    start: int
    end: int
    text: str


class Hit(msgspec.Struct, frozen=True):
    """A document that was found, with its best passage."""

    document_id: str
    score: float
    passage: Passage
    title: str | None = None
    metadata: dict[str, Any] = {}


class Found(msgspec.Struct, frozen=True):
    """The answer to a search."""

    results: list[Hit]
    projection: Projection


class Document(msgspec.Struct, frozen=True):
    """A document as it is in the log."""

    collection: str
    document_id: str
    text: str
    added_at: str
    title: str | None = None
    metadata: dict[str, Any] = {}
    source_uri: str | None = None


class Shown(msgspec.Struct, frozen=True):
    """The answer to a read of one document."""

    document: Document
    projection: Projection


class Count(msgspec.Struct, frozen=True):
    """A collection and what is in it."""

    name: str
    documents: int
    passages: int


class Collections(msgspec.Struct, frozen=True):
    """The answer to a list of collections."""

    collections: list[Count]
    projection: Projection


class Generation(msgspec.Struct, frozen=True):
    """One build of a projection."""

    generation: int
    state: str
    lifecycle: str = ""
    encoder: str | None = None
    version: str | None = None
    lag_events: int | None = None
    lag_seconds: float | None = None
    parked: int = 0


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


class ParkedEvent(msgspec.Struct, frozen=True):
    """An event that could not be applied. Its key is text, or base64 where its bytes are not UTF-8."""

    projection: str
    topic: str
    partition: int
    offset: int
    reason: str
    key: str | None = None


class Parked(msgspec.Struct, frozen=True):
    """The events of a projection that could not be applied, and that no later one has healed."""

    parked: list[ParkedEvent]

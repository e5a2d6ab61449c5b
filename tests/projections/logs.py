"""Entries made by hand, for tests of the projections without a log."""

import numpy as np

from projections.control.install import Wanted
from projections.documents import Documents
from projections.generations.lifecycle import Build
from projections.passages import Passages
from projections.port import Change, Entry, Nothing, Place, Refusal
from schemas.documents import DocumentAdded, DocumentRemoved, key_of
from schemas.embedded import Embedded, Passage, Removed, Source

TOPIC = "documents"
INCARNATION = "incarnation-1"
PARTITIONS = 4
DIMENSIONS = 384
WANTED = [
    Wanted(Documents(), Build(TOPIC, PARTITIONS, INCARNATION)),
    Wanted(Passages(), Build(TOPIC, PARTITIONS, INCARNATION, "an-encoder", DIMENSIONS)),
]


def place(offset: int, since: int | None = None, partition: int = 0) -> Place:
    """The place of a record that covers `since` up to and with `offset`."""
    return Place(
        TOPIC, partition, offset, offset if since is None else since, offset + 1, offset + 1, 1_700_000_000_000
    )


def added(offset: int, document_id: str = "a", text: str = "some text", collection: str = "c", **rest: object) -> Entry:
    """A document, as the source has it."""
    event = DocumentAdded(collection, document_id, text, **rest)  # type: ignore[arg-type]  # a test's own keywords
    return Entry(place(offset), Change(event), key_of(collection, document_id), b"{}")


def removed(offset: int, document_id: str = "a", collection: str = "c") -> Entry:
    """A removal, as the source has it."""
    return Entry(
        place(offset), Change(DocumentRemoved(collection, document_id)), key_of(collection, document_id), b"{}"
    )


def refused(offset: int, document_id: str = "a", collection: str = "c") -> Entry:
    """An event that can't be folded."""
    return Entry(place(offset), Refusal("text: missing"), key_of(collection, document_id), b"\xff", (("ce_id", b"1"),))


def nothing(offset: int, since: int | None = None) -> Entry:
    """Markers, aborted records, unknown types."""
    return Entry(place(offset, since), Nothing())


def vector(seed: int) -> bytes:
    """A unit vector, little-endian float16."""
    values = np.random.default_rng(seed).standard_normal(DIMENSIONS)
    return (values / np.linalg.norm(values)).astype("<f2").tobytes()


def embedded(offset: int, document_id: str = "a", text: str = "some text", pieces: int = 1, **rest: object) -> Entry:
    """A document with its vectors, as the derived topic has it: each piece is the whole text."""
    source = Source(TOPIC, 0, offset, INCARNATION, offset, offset + 1, 1_700_000_000_000)
    passages = tuple(Passage(number, 0, len(text), vector(offset * 31 + number)) for number in range(pieces))
    event = Embedded(source, "c", document_id, text, passages, **rest)  # type: ignore[arg-type]
    return Entry(place(offset), Change(event), key_of("c", document_id), b"msgpack")


def unembedded(offset: int, document_id: str = "a") -> Entry:
    """A removal, as the derived topic has it."""
    source = Source(TOPIC, 0, offset, INCARNATION, offset, offset + 1, 1_700_000_000_000)
    return Entry(place(offset), Change(Removed(source, "c", document_id)), key_of("c", document_id), b"msgpack")

"""What was delivered, as the projections see it."""

import json

import msgspec
import pytest

from projections.port import Change, Nothing, Place, Refusal
from schemas import documents, embedded
from schemas.documents import DocumentAdded, DocumentRemoved, key_of
from schemas.embedded import Rejected, Skipped, Source
from schemas.errors import OtherIncarnation, UndecodableRecord
from schemas.partitions import partition_of
from schemas.records import Record
from services.entries import from_derived, from_source, quiet

KEY = key_of("c", "x")
HOME = partition_of(KEY, 4)
HEADERS = (("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/t"), ("ce_type", documents.ADDED.encode()))
SOURCE = Source("documents", HOME, 7, "topic-id", 5, 8, 1_700_000_000_000)


def source_record(value: bytes, headers: tuple[tuple[str, bytes | None], ...] = HEADERS) -> Record:
    """A record of the source at offset 7."""
    return Record("documents", HOME, 7, 1_700_000_000_000, KEY, value, headers)


def derived_record(event: embedded.Derived, partition: int = HOME) -> Record:
    """The same source record's twin, at offset 3 of the derived topic."""
    return Record("derived", partition, 3, 0, KEY, embedded.encode(event), tuple(embedded.headers(event, "e")))


def test_a_source_record_covers_what_lies_before_it() -> None:
    """Its entry begins where the record before it ended, behind which there were only markers."""
    entry = from_source(source_record(json.dumps({"collection": "c", "document_id": "x", "text": "t"}).encode()), 5, 4)
    assert entry.place == Place("documents", HOME, 7, since=5, next=8, read_next=8, time=1_700_000_000_000)
    assert entry.content == Change(DocumentAdded("c", "x", "t"))


def test_a_bad_source_record_keeps_its_bytes() -> None:
    """What is to be parked is what came, headers included."""
    entry = from_source(source_record(b"\xff"), 7, 4)
    assert isinstance(entry.content, Refusal)
    assert (entry.value, entry.headers) == (b"\xff", HEADERS)


def test_an_unknown_type_is_nothing_but_counted() -> None:
    """The position moves over it."""
    assert from_source(source_record(b"", (("ce_type", b"other"),)), 7, 4).content == Nothing(events=1)


@pytest.mark.parametrize(
    ("event", "content"),
    [
        (embedded.removed(SOURCE, DocumentRemoved("c", "x")), Change),
        (Rejected(SOURCE, "text: missing", b"\xff", HEADERS), Refusal),
        (Skipped(SOURCE, 3), Nothing),
    ],
)
def test_a_derived_record_lies_where_its_source_lies(event: embedded.Derived, content: type) -> None:
    """Coverage is counted in source offsets; reading goes on behind the derived record."""
    entry = from_derived(derived_record(event), "topic-id")
    assert entry.place == Place("documents", HOME, 7, since=5, next=8, read_next=4, time=1_700_000_000_000)
    assert isinstance(entry.content, content)


def test_a_rejected_record_brings_the_original_bytes() -> None:
    """`passages` parks what the producer sent, not what the embedder made of it."""
    entry = from_derived(derived_record(Rejected(SOURCE, "text: missing", b"\xff", HEADERS)), "topic-id")
    assert (entry.key, entry.value, entry.headers) == (KEY, b"\xff", HEADERS)


def test_vectors_of_another_incarnation_are_not_mixed_in() -> None:
    """A derived topic that outlived its source stops the projection and says so."""
    with pytest.raises(OtherIncarnation, match="topic-id"):
        from_derived(derived_record(Skipped(SOURCE)), "a-newer-id")


def test_a_derived_record_in_another_partition_is_refused() -> None:
    """The derived topic has the partitions of its source."""
    with pytest.raises(UndecodableRecord, match="is about partition"):
        from_derived(derived_record(Skipped(SOURCE), partition=(HOME + 1) % 4), "topic-id")
    foreign = msgspec.structs.replace(derived_record(Skipped(SOURCE)), value=b"\xc1")
    with pytest.raises(UndecodableRecord):
        from_derived(foreign, "topic-id")


def test_a_quiet_end_moves_the_position_over_its_markers() -> None:
    """Five markers at the end of a partition: nothing to fold, and lag can reach 0."""
    entry = quiet("documents", 0, since=10, reached=15)
    assert (entry.place.since, entry.place.next, entry.content) == (10, 15, Nothing())

"""The derived topic's records: they come back as they were written, and foreign ones are refused."""

import msgspec
import pytest

from schemas import embedded
from schemas.derived import decode
from schemas.documents import DocumentAdded, DocumentRemoved
from schemas.embedded import Passage, Rejected, Skipped, Source
from schemas.errors import UndecodableRecord
from schemas.records import Record

SOURCE = Source("documents", 2, 7, "topic-id", 5, 8, 1_700_000_000_000)
EVENTS: list[embedded.Derived] = [
    embedded.embedded(SOURCE, DocumentAdded("c", "x", "hi", "t", {"n": 1}), (Passage(0, 0, 2, b"\x00\x3c"),)),
    embedded.removed(SOURCE, DocumentRemoved("c", "x")),
    Rejected(SOURCE, "text: missing", b"\xff", (("ce_id", None), ("x", b"\x00"))),
    Skipped(SOURCE, 3),
]


def record_of(event: embedded.Derived) -> Record:
    """The Kafka record of a derived event."""
    return Record("d", 2, 0, 0, b"c/x", embedded.encode(event), tuple(embedded.headers(event, "e")))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_a_derived_event_comes_back_as_it_was(event: embedded.Derived) -> None:
    """Encoding and decoding lose nothing."""
    assert decode(record_of(event)) == event


def test_the_wire_form_is_the_contract_s() -> None:
    """Another language reads a plain MessagePack map with the contract's names."""
    wire = msgspec.msgpack.decode(record_of(EVENTS[0]).value or b"")
    assert wire["source"] == {
        "topic": "documents",
        "partition": 2,
        "offset": 7,
        "incarnation": "topic-id",
        "from": 5,
        "next": 8,
        "time": 1_700_000_000_000,
    }
    assert wire["passages"] == [{"ordinal": 0, "start": 0, "end": 2, "vector": b"\x00\x3c"}]
    assert (wire["collection"], wire["document_id"], wire["text"], wire["title"]) == ("c", "x", "hi", "t")


def test_a_derived_record_is_a_whole_cloud_event() -> None:
    """All attributes of binary mode are there; its time is the broker's of the source, so a repeat says the same."""
    headers = dict(embedded.headers(EVENTS[0], "e"))
    assert {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"} <= headers.keys()
    assert headers["ce_time"] == b"2023-11-14T22:13:20.000+00:00"


def test_what_no_embedder_writes_is_refused() -> None:
    """A foreign record in the derived topic is an error that says where it lies."""
    for record in (
        Record("d", 2, 9, 0, None, b"{}"),
        Record("d", 2, 9, 0, None, b"\xc1", record_of(EVENTS[0]).headers),
    ):
        with pytest.raises(UndecodableRecord, match="d/2 at offset 9"):
            decode(record)

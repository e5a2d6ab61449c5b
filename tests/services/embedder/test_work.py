"""From deliveries to derived records, without Kafka or a model."""

import json
from functools import partial

import msgspec
import numpy as np
import pytest

from encoders.chunking import Piece
from eventlog.delivery import Delivered, TopicPartition
from schemas import events
from schemas.derived import decode
from schemas.documents import key_of
from schemas.embedded import Embedded, Kind, Rejected, Skipped
from schemas.partitions import partition_of
from schemas.records import Record
from services.embedder.work import Origin, Output, Work, judge, outputs
from tests.schemas.later import LATER

ORIGIN = Origin("incarnation", "encoder")
KEY = key_of("c", "d")
HOME = partition_of(KEY, 4)
PLACE = TopicPartition("documents", HOME)
LIMIT = 1_000_000


def event(offset: int, *, since: int | None = None, type_: str = "added", value: bytes | None = None) -> Delivered:
    """The delivery of an event of a document."""
    data = value if value is not None else json.dumps({"collection": "c", "document_id": "d", "text": "t"}).encode()
    headers = {"ce_specversion": b"1.0", "ce_id": b"1", "ce_source": b"/", "traceparent": b"00-trace"}
    headers["ce_type"] = f"nenrin.document.{type_}.v1".encode()
    record = Record("documents", HOME, offset, 1000 + offset, KEY, data, tuple(headers.items()))
    return Delivered(PLACE, 1, offset if since is None else since, offset + 1, record)


def quiet(since: int, next_: int) -> Delivered:
    """The delivery of markers."""
    return Delivered(PLACE, 1, since, next_, None)


def derive(*deliveries: Delivered, limit: int = LIMIT, time: int = 0) -> list[Output]:
    """All derived records, each passage with its ordinal as vector."""
    works = [judge(delivered, 4) for delivered in deliveries]
    for work in works:
        if work.text is not None:
            cut(work, 2)
    return list(outputs(works, ORIGIN, limit, time))


def cut(work: Work, passages: int) -> None:
    """Let a text have so many passages, each with a vector of its own, made in the wrong order."""
    pieces = [Piece(ordinal, 0, 1, np.array([ordinal], dtype=np.int32)) for ordinal in range(passages)]
    work.cut_into(pieces)
    for piece in reversed(pieces):
        assert not work.is_ready
        work.encoded(piece, bytes([piece.ordinal]))


def read(output: Output) -> Embedded | Rejected | Skipped | object:
    """The output as a reader decodes it."""
    return decode(Record("derived", HOME, 0, 0, output.key, output.value, tuple(output.headers)))


def test_a_trace_that_is_no_text_stays_behind() -> None:
    """Headers of the derived topic are text, whatever a producer sent."""
    delivered = event(5)
    assert delivered.record is not None
    headers = tuple((name, b"\xff" if name == "traceparent" else value) for name, value in delivered.record.headers)
    record = msgspec.structs.replace(delivered.record, headers=headers)
    (output,) = derive(msgspec.structs.replace(delivered, record=record))
    assert "traceparent" not in dict(output.headers)


def test_a_document_becomes_its_fields_and_vectors() -> None:
    """The derived record has the document, its vectors in order, its place, its key and its trace."""
    (output,) = derive(event(5, since=3))
    embedded = read(output)
    assert isinstance(embedded, Embedded)
    assert (embedded.collection, embedded.document_id, embedded.text) == ("c", "d", "t")
    assert [passage.vector for passage in embedded.passages] == [b"\0", b"\1"]
    assert output.key == KEY
    assert dict(output.headers)["traceparent"] == b"00-trace"
    assert msgspec.msgpack.decode(output.value)["source"] == {
        "topic": "documents",
        "partition": HOME,
        "offset": 5,
        "incarnation": "incarnation",
        "from": 3,
        "next": 6,
        "time": 1005,
    }


def test_an_invalid_event_is_carried_whole_with_its_reason() -> None:
    """What is parked later must be all that there was: bytes and headers."""
    bad = event(0, value=b"{nonsense")
    rejected = read(derive(bad)[0])
    assert isinstance(rejected, Rejected)
    assert rejected.value == b"{nonsense"
    assert bad.record is not None
    assert rejected.headers == bad.record.headers
    assert "JSON" in rejected.reason


def test_neighbours_that_hold_nothing_share_a_record_and_the_chain_has_no_hole() -> None:
    """Unknown types and markers between events: each offset is covered exactly once."""
    derived = derive(
        event(0),
        event(1, type_="renamed"),
        event(4, since=2, type_="renamed"),
        quiet(5, 7),
        event(9, since=7),
        quiet(10, 12),
    )
    assert [output.kind for output in derived] == [Kind.EMBEDDED, Kind.SKIPPED, Kind.EMBEDDED, Kind.SKIPPED]
    sources = [msgspec.msgpack.decode(output.value)["source"] for output in derived]
    assert [(source["from"], source["next"]) for source in sources] == [(0, 1), (1, 7), (7, 10), (10, 12)]
    skipped = read(derived[1])
    assert isinstance(skipped, Skipped)
    assert (skipped.events, skipped.source.time, derived[1].key) == (2, 1004, None)
    assert sources[3]["time"] == 1009


def test_a_stretch_of_markers_alone_has_the_time_of_what_came_before() -> None:
    """Markers have no time that a consumer is told."""
    skipped = read(derive(quiet(0, 2), time=77)[0])
    assert isinstance(skipped, Skipped)
    assert skipped.source.time == 77


def test_a_record_over_the_limit_is_rejected_with_its_event() -> None:
    """It would be refused by the broker for ever; instead it says so and keeps its event and the place of it."""
    work = judge(event(5, since=3), 4)
    cut(work, 200)
    (output,) = outputs([work], ORIGIN, 3_000)
    rejected = read(output)
    assert isinstance(rejected, Rejected)
    assert "over the limit of 3,000" in rejected.reason
    assert work.delivered.record is not None
    assert (rejected.value, rejected.headers) == (work.delivered.record.value, work.delivered.record.headers)
    assert (rejected.source.since, rejected.source.next, output.key) == (3, 6, KEY)


def test_the_size_of_an_output_is_no_less_than_it_takes() -> None:
    """The limit is checked before a batch is built, so the estimate must not be too small."""
    from aiokafka.producer.message_accumulator import BatchBuilder  # noqa: PLC0415  (only to weigh it)

    (output,) = derive(event(5))
    batch = BatchBuilder(1_000_000, 0)
    batch.append(timestamp=None, key=output.key, value=output.value, headers=output.headers)
    assert output.size + 61 >= batch.size()


def test_what_is_too_large_even_to_be_rejected_whole_is_rejected_without_its_bytes() -> None:
    """A bad record that was small only while compressed leaves its place and the reason, so that reading goes on."""
    (output,) = derive(event(7, value=b"x" * 3 * LIMIT))
    rejected = read(output)
    assert isinstance(rejected, Rejected)
    assert output.size <= LIMIT
    assert output.key == KEY
    assert rejected.value is None
    assert "over the limit" in rejected.reason
    assert (rejected.source.since, rejected.source.next) == (7, 8)


def test_an_older_event_is_embedded_as_of_its_newest_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version's embedder reads the log from offset 0: v1 takes the same steps there as in a projection."""
    monkeypatch.setattr(events, "judge", partial(events.judge, types=LATER))
    (output,) = derive(event(0))
    derived = read(output)
    assert isinstance(derived, Embedded)
    assert (derived.text, derived.title, derived.metadata) == ("t", "t", {"language": "und"})

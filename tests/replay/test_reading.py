"""Bulk reading on a real broker: everything committed, every offset covered, and an end in any place."""

import secrets
from collections.abc import Mapping, Sequence

import pytest
from confluent_kafka import Producer

from eventlog.connection import KafkaSettings
from projections.port import Entry, Nothing
from projections.positions import Position, after, continuing
from schemas import embedded
from schemas.embedded import Removed, Skipped, Source
from schemas.errors import LogCut, OtherIncarnation
from schemas.topics import DOCUMENTS, derived
from services.replay import reading
from tests.eventlog.writing import Transactions, make_topic, write

ENCODER = "an-encoder"
START = {0: Position(0, 0), 1: Position(0, 0)}


@pytest.fixture
def log(kafka: str, topic_prefix: str) -> KafkaSettings:
    """A source and a derived topic of two partitions each."""
    make_topic(kafka, topic_prefix + DOCUMENTS, 2)
    make_topic(kafka, topic_prefix + derived(ENCODER), 2)
    return KafkaSettings(kafka, topic_prefix=topic_prefix)


async def read(
    log: KafkaSettings,
    encoder: str | None = None,
    starts: Mapping[int, Position] = START,
    until: Mapping[int, int] | None = None,
) -> tuple[dict[int, Position], dict[int, list[Entry]]]:
    """Everything, and where each partition stands then; held to be without a hole and without duplicates."""
    found: dict[int, list[Entry]] = {partition: [] for partition in starts}
    at = dict(starts)
    async for entries in reading.entries(log, await reading.stretch(log, encoder), starts, until):
        partition = entries[0].place.partition
        assert continuing(at[partition], entries) == entries
        at[partition] = after(at[partition], entries)
        found[partition] += entries
    return at, found


def values(entries: Sequence[Entry]) -> list[bytes | None]:
    """What was in the records, without what only passes over markers."""
    return [entry.value for entry in entries if not isinstance(entry.content, Nothing)]


def torn(log: KafkaSettings) -> None:
    """Partition 0: a, b committed (marker at 3), an aborted record (3, 4), c, d committed (marker at 8); 1: e."""
    topic = log.real(DOCUMENTS)
    transactions = Transactions(log.bootstrap, topic)
    transactions.begin(b"a", b"b")
    transactions.commit()
    transactions.begin(b"never")
    transactions.abort()
    write(log.bootstrap, topic, [b"c"])
    transactions.begin(b"d")
    transactions.commit()
    write(log.bootstrap, topic, [b"e"], partition=1)


async def test_all_that_is_committed_is_read(log: KafkaSettings) -> None:
    """Markers and aborted records are covered wherever they lie, at the quiet end of a partition too."""
    torn(log)
    at, found = await read(log)
    assert (values(found[0]), values(found[1])) == ([b"a", b"b", b"c", b"d"], [b"e"])
    assert at == {0: Position(8, 8), 1: Position(1, 1)}


@pytest.mark.parametrize("end", range(9))
async def test_it_ends_at_any_offset(log_of_all: KafkaSettings, end: int) -> None:
    """In the middle of markers and behind the last of them; and goes on from there to the same whole."""
    at, before = await read(log_of_all, until={0: end, 1: 0})
    assert at == {0: Position(end, end), 1: Position(0, 0)}
    rest, behind = await read(log_of_all, starts=at)
    assert values(before[0]) + values(behind[0]) == [b"a", b"b", b"c", b"d"]
    assert rest == {0: Position(8, 8), 1: Position(1, 1)}


@pytest.fixture(scope="module")
def log_of_all(kafka: str) -> KafkaSettings:
    """One torn log for all ends."""
    log = KafkaSettings(kafka, topic_prefix=f"ends{secrets.token_hex(4)}.")
    make_topic(kafka, log.real(DOCUMENTS), 2)
    torn(log)
    return log


async def test_an_open_transaction_ends_the_log(log: KafkaSettings) -> None:
    """What lies behind it is not read, and nothing is waited for."""
    transactions = Transactions(log.bootstrap, log.real(DOCUMENTS))
    transactions.begin(b"open")
    write(log.bootstrap, log.real(DOCUMENTS), [b"behind"])
    at, found = await read(log)
    assert (at[0], values(found[0])) == (Position(0, 0), [])
    transactions.commit()


async def test_a_log_that_lost_its_end_is_not_taken_for_read(log: KafkaSettings) -> None:
    """A position beyond the end means that other events will get those offsets."""
    write(log.bootstrap, log.real(DOCUMENTS), [b"a"])
    with pytest.raises(LogCut, match="the log ends at 1"):
        await read(log, starts={0: Position(2, 2)})


def derive(log: KafkaSettings, incarnation: str, *covers: tuple[int, int, int]) -> None:
    """Derived records of partition 0: each from, at and up to these offsets; where more lies behind it, one skipped."""
    producer = Producer({"bootstrap.servers": log.bootstrap})
    for since, offset, next_ in covers:
        source = Source(DOCUMENTS, 0, offset, incarnation, since, next_, 1)
        event = Removed(source, "c", str(offset)) if next_ == offset + 1 else Skipped(source)
        headers = dict[str, str | bytes | None](embedded.headers(event, ENCODER))
        producer.produce(log.real(derived(ENCODER)), embedded.encode(event), b"c/x", 0, headers=headers)
    assert producer.flush(30) == 0


async def test_a_derived_record_is_cut_where_nothing_lies(log: KafkaSettings) -> None:
    """Ends that its markers cover: the position stands there, the record is read again, and nothing is lost."""
    source = (await reading.stretch(log, None)).source
    derive(log, source.incarnation, (0, 0, 1), (1, 4, 5), (5, 5, 9))
    for end in range(10):
        at, before = await read(log, ENCODER, until={0: end, 1: 0})
        assert at[0].next == end
        rest, behind = await read(log, ENCODER, starts=at)
        assert rest[0] == Position(9, 3)
        assert values(before[0]) + values(behind[0]) == values((await read(log, ENCODER))[1][0])


async def test_vectors_of_a_topic_that_is_gone_are_refused(log: KafkaSettings) -> None:
    """They belong to other events under the same offsets."""
    derive(log, "another", (0, 0, 1))
    with pytest.raises(OtherIncarnation, match="embedded from incarnation another"):
        await read(log, ENCODER)

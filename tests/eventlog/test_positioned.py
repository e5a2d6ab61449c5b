"""Reading from positions of one's own, through Faust, from a real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import monotonic

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from eventlog.app import App, begin_again, create_app
from eventlog.connection import KafkaSettings
from eventlog.delivery import Delivered, TopicPartition
from eventlog.inbox import Inbox
from schemas.errors import PositionLost
from tests.eventlog.writing import Transactions, make_topic, write

TOPIC = "documents"
FIRST = TopicPartition(TOPIC, 0)
PATIENCE = 30.0


class Reader:
    """A process's view: where it goes on, and what it has taken."""

    app: App

    def __init__(self, positions: Mapping[TopicPartition, int]) -> None:
        self.inbox = Inbox(TOPIC)
        self.positions = dict(positions)
        self.claims: list[frozenset[TopicPartition]] = []
        self.taken: list[Delivered] = []
        self.values: list[bytes | None] = []
        self.lost: PositionLost | None = None

    async def claim(self, assignment: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Go on where each partition was left."""
        self.claims.append(assignment)
        return {place: self.positions.get(place, 0) for place in assignment}

    async def release(self) -> None:
        """Nothing to finish."""

    async def work(self) -> None:
        """Take for ever, or until nothing can follow; each delivery moves its partition's position."""
        try:
            async for batch in self.inbox.batches(100, 1_000_000):
                assert batch.since == self.positions.get(batch.place, 0)
                self.positions[batch.place] = batch.next
                self.taken += batch.deliveries
                self.values += [record.value for record in batch.records()]
        except PositionLost as lost:
            self.lost = lost

    async def until(self, reached: Callable[["Reader"], bool]) -> None:
        """Wait for something to become true."""
        async with asyncio.timeout(PATIENCE):
            while not reached(self):  # noqa: ASYNC110  # what is waited for is several objects away
                await asyncio.sleep(0.01)


Started = Callable[..., AbstractAsyncContextManager[Reader]]


@pytest.fixture
def topic(kafka: str, topic_prefix: str) -> str:
    """The topic that is read, by its real name: two partitions."""
    make_topic(kafka, topic_prefix + TOPIC, 2)
    return topic_prefix + TOPIC


@pytest.fixture
def started(kafka: str, topic_prefix: str, topic: str) -> Started:
    """Start a reader at positions; several of them share the partitions."""

    @asynccontextmanager
    async def start(positions: Mapping[TopicPartition, int] | None = None) -> AsyncIterator[Reader]:
        reader = Reader(positions or {})
        settings = KafkaSettings(kafka, topic_prefix=topic_prefix)
        reader.app = app = create_app("reader", settings, [reader.inbox], reader.claim, reader.release)
        running, working = asyncio.create_task(app.start()), asyncio.create_task(reader.work())
        try:
            yield reader
        finally:
            working.cancel()
            await app.stop()
            await asyncio.gather(running, working, return_exceptions=True)

    return start


async def test_reading_begins_at_the_claimed_position(kafka: str, topic: str, started: Started) -> None:
    """Nothing before it is delivered, everything behind it is, with the topic's logical name and the broker's time."""
    write(kafka, topic, [b"0", b"1", b"2", b"3"])
    async with started({FIRST: 2}) as reader:
        await reader.until(lambda reader: len(reader.values) == 2)
        write(kafka, topic, [b"4"])
        await reader.until(lambda reader: len(reader.values) == 3)
    assert reader.values == [b"2", b"3", b"4"]
    record = reader.taken[0].record
    assert record is not None
    assert (record.topic, record.offset, record.key) == (TOPIC, 2, b"k")
    assert record.time > 1_600_000_000_000


async def test_holes_of_markers_and_aborted_records_are_covered(kafka: str, topic: str, started: Started) -> None:
    """Only committed records arrive, and each says which offsets before it held nothing: the chain has no hole."""
    write(kafka, topic, [b"a"])
    transactions = Transactions(kafka, topic)
    for value in (b"b", b"c"):
        transactions.begin(value)
        transactions.commit()
        transactions.begin(b"never", b"never")
        transactions.abort()
    write(kafka, topic, [b"d"])
    async with started() as reader:
        await reader.until(lambda reader: b"d" in reader.values)
    assert reader.values == [b"a", b"b", b"c", b"d"]
    assert [(found.since, found.next) for found in reader.taken] == [(0, 1), (1, 2), (2, 7), (7, 12)]


async def test_a_quiet_end_behind_markers_is_passed_within_a_second(kafka: str, topic: str, started: Started) -> None:
    """Without another record to carry it, the position still reaches the end: lag goes to zero."""
    transactions = Transactions(kafka, topic)
    async with started() as reader:
        await reader.until(lambda reader: bool(reader.claims))
        transactions.begin(b"a")
        transactions.commit()
        transactions.begin(b"never")
        transactions.abort()
        since = monotonic()
        await reader.until(lambda reader: reader.positions.get(FIRST) == 4)
        assert monotonic() - since < 1.0
    assert reader.values == [b"a"]
    assert reader.taken[-1].record is None


async def test_what_is_not_committed_is_not_read(kafka: str, topic: str, started: Started) -> None:
    """An open transaction holds back itself and all behind it, and no position passes it."""
    transactions = Transactions(kafka, topic)
    async with started() as reader:
        transactions.begin(b"open")
        write(kafka, topic, [b"behind"])
        await asyncio.sleep(1.0)
        assert reader.values == []
        assert reader.positions.get(FIRST, 0) == 0
        transactions.commit()
        await reader.until(lambda reader: len(reader.values) == 2)
    assert reader.values == [b"open", b"behind"]


async def test_a_second_reader_takes_over_without_loss_or_repetition(kafka: str, topic: str, started: Started) -> None:
    """When partitions move, each goes on exactly where its owner left it."""
    positions: dict[TopicPartition, int] = {}
    async with started() as one:
        write(kafka, topic, [b"0"], 0)
        write(kafka, topic, [b"1"], 1)
        await one.until(lambda one: len(one.values) == 2)
        async with started() as other:
            positions |= one.positions
            other.positions |= one.positions
            await other.until(lambda other: len(other.claims) > 0 and len(one.claims[-1]) == 1)
            for partition in (0, 1):
                write(kafka, topic, [b"more"], partition)
            await other.until(lambda other: len(other.values) == 1 and len(one.values) == 3)
        await one.until(lambda one: len(one.claims[-1]) == 2)
        (moved,) = other.claims[-1]
        assert one.positions[moved] == 1
        # Nobody told it what the other had done: it reads that partition from its own position again.
        await one.until(lambda one: one.positions[moved] == 2)


async def test_compressed_records_are_read(kafka: str, topic: str, started: Started) -> None:
    """Producers choose their compression: each of Kafka's is understood."""
    codecs = ("gzip", "snappy", "lz4", "zstd")
    for codec in codecs:
        write(kafka, topic, [codec.encode() * 100] * 10, compression=codec)
    async with started() as reader:
        await reader.until(lambda reader: len(reader.values) == 40)
    assert set(reader.values) == {codec.encode() * 100 for codec in codecs}


async def test_a_position_before_the_beginning_is_lost(kafka: str, topic: str, started: Started) -> None:
    """Records deleted before they were read can't be folded: that is said, never skipped."""
    write(kafka, topic, [b"a", b"b", b"c"])
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.delete_records({aiokafka.TopicPartition(topic, 0): RecordsToDelete(before_offset=2)})
    await admin.close()
    async with started({FIRST: 1}) as reader:
        await reader.until(lambda reader: reader.lost is not None)
    assert reader.values == []
    assert "documents/0: offset 1 was to come next, but the log begins at 2" in str(reader.lost)


async def test_a_topic_that_cannot_be_read_leaves_the_others_reading(kafka: str, topic_prefix: str, topic: str) -> None:
    """One topic's position is lost, another's partitions are not claimed: what is left is read, and read again later.

    A claim made anew, without any rebalance, reads on what was lost and what was left out.
    """
    make_topic(kafka, topic_prefix + "other", 1)
    make_topic(kafka, topic_prefix + "third", 1)
    write(kafka, topic, [b"a"])
    write(kafka, topic_prefix + "other", [b"b"])
    write(kafka, topic_prefix + "third", [b"c"])
    reader, lost, left_out = Reader({}), Reader({}), Reader({})
    lost.inbox, left_out.inbox = Inbox("other"), Inbox("third")
    position, leaving_out = {TopicPartition("other", 0): 7}, True

    async def claim(assigned: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        reader.claims.append(assigned)
        read = [place for place in assigned if not (leaving_out and place.topic == "third")]
        return {place: position.get(place, reader.positions.get(place, 0)) for place in read}

    settings = KafkaSettings(kafka, topic_prefix=topic_prefix)
    app = create_app("reader", settings, [each.inbox for each in (reader, lost, left_out)], claim, reader.release)
    running = [asyncio.create_task(work) for work in (app.start(), reader.work(), lost.work(), left_out.work())]
    await reader.until(lambda reader: reader.values == [b"a"])
    await lost.until(lambda lost: lost.lost is not None)
    write(kafka, topic, [b"more"])
    await reader.until(lambda reader: reader.values == [b"a", b"more"])
    assert (lost.values, left_out.values) == ([], [])
    position.clear()
    leaving_out = False
    running.append(asyncio.create_task(lost.work()))
    await begin_again(app)
    await left_out.until(lambda left_out: left_out.values == [b"c"])
    await lost.until(lambda lost: lost.values == [b"b"])
    write(kafka, topic, [b"most"])
    await reader.until(lambda reader: reader.values == [b"a", b"more", b"most"])
    assert len(reader.claims) == 2
    for task in running[1:]:
        task.cancel()
    await app.stop()
    await asyncio.gather(*running, return_exceptions=True)


async def test_a_position_beyond_the_end_is_lost(
    kafka: str, topic: str, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log shorter than what was read of it is another log, or a damaged one."""
    monkeypatch.setattr("eventlog.fetching.END_PATIENCE", 0.5)
    write(kafka, topic, [b"a"])
    async with started({FIRST: 7}) as reader:
        await reader.until(lambda reader: reader.lost is not None)
    assert "the log ends at 1" in str(reader.lost)


async def test_a_full_inbox_holds_back_fetching_and_nothing_is_lost(kafka: str, topic: str, topic_prefix: str) -> None:
    """However much the log holds, memory stays bounded; when there is room again, reading goes on behind it."""
    write(kafka, topic, (b"%d" % number for number in range(5000)))
    reader = Reader({})
    reader.inbox = Inbox(TOPIC, records=100)
    settings = KafkaSettings(kafka, topic_prefix=topic_prefix)
    app = create_app("reader", settings, [reader.inbox], reader.claim, reader.release)
    running = asyncio.create_task(app.start())
    await reader.until(lambda reader: len(reader.inbox) > 0)
    await asyncio.sleep(1.0)
    assert len(reader.inbox) <= 100 + 1000  # what one fetch may bring on top
    working = asyncio.create_task(reader.work())
    await reader.until(lambda reader: len(reader.values) == 5000)
    assert reader.values == [b"%d" % number for number in range(5000)]
    working.cancel()
    await app.stop()
    await asyncio.gather(running, working, return_exceptions=True)


async def test_a_process_is_settled_once_it_knows_its_partitions(started: Started) -> None:
    """Not before it has claimed them; a third reader of two partitions gets none, and is settled all the same."""
    async with started() as first:
        assert not first.app.settled
        await first.until(lambda reader: reader.app.settled)
        assert first.claims
        async with started() as second, started() as third:
            for reader in (first, second, third):
                await reader.until(lambda reader: reader.app.settled and len(reader.app.consumer.assignment()) < 2)
            assigned = [len(reader.app.consumer.assignment()) for reader in (first, second, third)]
            assert sorted(assigned) == [0, 1, 1]

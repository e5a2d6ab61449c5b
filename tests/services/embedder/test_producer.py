"""The embedder's producer, on a real broker."""

from collections.abc import AsyncIterator

import pytest

from eventlog.connection import KafkaSettings
from eventlog.topics import Topics
from schemas.embedded import Kind
from schemas.topics import DERIVED_RECORD_LIMIT, Topic
from services.embedder.producer import BATCH_BYTES, RECORD_LIMIT, Producer, grouped
from services.embedder.work import Output
from tests.services.embedder.derived_log import read

TOPIC = Topic("derived", 4, DERIVED_RECORD_LIMIT)


def output(size: int, key: bytes = b"k") -> Output:
    """An output of that size."""
    empty = Output(Kind.EMBEDDED, key, b"", [("ce_type", b"t")])
    return Output(Kind.EMBEDDED, key, bytes(size - empty.size), empty.headers)


@pytest.fixture
async def producer(kafka: str, topic_prefix: str) -> AsyncIterator[Producer]:
    """A producer to a topic with the contract's limit."""
    settings = KafkaSettings(kafka, topic_prefix=topic_prefix)
    topics = Topics(settings)
    await topics.carry_out(await topics.plan([TOPIC]))
    producer = Producer(settings, TOPIC.name)
    await producer.start()
    yield producer
    await producer.stop()


async def test_the_largest_record_that_we_send_is_accepted(producer: Producer, kafka: str, topic_prefix: str) -> None:
    """What isn't rejected by us isn't refused by the broker: no record is tried for ever."""
    assert output(RECORD_LIMIT).size == RECORD_LIMIT
    await producer.send(2, [output(RECORD_LIMIT)])
    assert len(read(kafka, topic_prefix + TOPIC.name)[2]) == 1


async def test_records_of_several_batches_stay_in_order(producer: Producer, kafka: str, topic_prefix: str) -> None:
    """Large and small ones, in one call and the next, lie in the log as they were given."""
    keys = [b"%d" % number for number in range(40)]
    outputs = [output(BATCH_BYTES * 2 if number % 9 == 0 else 50_000, key) for number, key in enumerate(keys)]
    await producer.send(1, outputs[:20])
    await producer.send(1, outputs[20:])
    assert [message.key() for message in read(kafka, topic_prefix + TOPIC.name)[1]] == keys


def test_batches_are_bounded_and_lose_nothing() -> None:
    """Records travel together up to a size; a larger one alone."""
    outputs = [output(size) for size in (1000, BATCH_BYTES - 1000, 1000, 3 * BATCH_BYTES, 1000)]
    groups = list(grouped(outputs))
    assert [len(group) for group in groups] == [2, 1, 1, 1]
    assert [one for group in groups for one in group] == outputs

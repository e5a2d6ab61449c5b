"""The last record of a partition, whatever lies behind it."""

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from eventlog.connection import KafkaSettings
from eventlog.delivery import TopicPartition
from eventlog.tail import read_tails
from schemas.errors import PositionLost
from tests.eventlog.writing import Transactions, make_topic, write


@pytest.fixture
def topic(kafka: str, topic_prefix: str) -> str:
    """A topic of two partitions, by its real name."""
    make_topic(kafka, topic_prefix + "log", 2)
    return topic_prefix + "log"


async def tails(kafka: str, prefix: str) -> list[bytes | None]:
    """The last values of both partitions."""
    places = [TopicPartition("log", 0), TopicPartition("log", 1)]
    found = await read_tails(KafkaSettings(kafka, topic_prefix=prefix), places)
    return [None if (record := found[place]) is None else record.value for place in places]


async def test_each_partition_has_its_own_tail(kafka: str, topic: str, topic_prefix: str) -> None:
    """An empty partition has none; another shows its last record."""
    write(kafka, topic, [b"a", b"b", b"c"], partition=1)
    assert await tails(kafka, topic_prefix) == [None, b"c"]


async def test_markers_and_aborted_records_are_looked_past(kafka: str, topic: str, topic_prefix: str) -> None:
    """The end of the log may hold hundreds of offsets that nobody can read."""
    write(kafka, topic, [b"a"])
    transactions = Transactions(kafka, topic)
    transactions.begin(b"b")
    transactions.commit()
    for _ in range(5):
        transactions.begin(*(b"never" for _ in range(60)))
        transactions.abort()
    nothing_but_aborted = Transactions(kafka, topic, 1)
    nothing_but_aborted.begin(b"never")
    nothing_but_aborted.abort()
    assert await tails(kafka, topic_prefix) == [b"b", None]


async def test_a_log_that_has_lost_its_records_is_an_error(kafka: str, topic: str, topic_prefix: str) -> None:
    """Offsets were given out, so something was there: beginning again at 0 would be wrong."""
    write(kafka, topic, [b"a", b"b"])
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.delete_records({aiokafka.TopicPartition(topic, 0): RecordsToDelete(before_offset=2)})
    await admin.close()
    with pytest.raises(PositionLost, match="holds no record any more"):
        await tails(kafka, topic_prefix)

"""Writing logs as strangers do: with librdkafka, in and out of transactions."""

import secrets
import time
from collections.abc import Iterable

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its stubs forget to re-export

from schemas.topics import Topic


def make_topic(address: str, name: str, partitions: int = 1) -> None:
    """A topic with the contract's settings."""
    settings = Topic(name, partitions, 2 * 1024 * 1024).settings()
    admin = AdminClient({"bootstrap.servers": address})
    for future in admin.create_topics([NewTopic(name, partitions, 1, config=settings)]).values():
        future.result()
    while not (found := admin.list_topics(name).topics[name].partitions) or len(found) < partitions:
        time.sleep(0.01)  # a broker answers a creation before it knows the topic itself


def remove_topic(address: str, name: str) -> None:
    """Remove a topic with all its records."""
    admin = AdminClient({"bootstrap.servers": address})
    for future in admin.delete_topics([name]).values():
        future.result()


def write(address: str, topic: str, values: Iterable[bytes], partition: int = 0, compression: str = "none") -> None:
    """Append records, and wait until they are there."""
    producer = Producer({"bootstrap.servers": address, "linger.ms": 5, "compression.type": compression})
    for value in values:
        producer.produce(topic, value=value, key=b"k", partition=partition)
    assert producer.flush(30) == 0


class Transactions:
    """A transactional producer on one partition: every transaction leaves a marker behind its records."""

    def __init__(self, address: str, topic: str, partition: int = 0) -> None:
        self._producer = Producer(
            {"bootstrap.servers": address, "transactional.id": secrets.token_hex(8), "linger.ms": 0}
        )
        self._producer.init_transactions(30)
        self._topic, self._partition = topic, partition

    def begin(self, *values: bytes) -> None:
        """Append records that nobody may read yet."""
        self._producer.begin_transaction()
        for value in values:
            self._producer.produce(self._topic, value=value, key=b"k", partition=self._partition)
        self._producer.flush(30)

    def commit(self) -> None:
        """Let them be read."""
        self._producer.commit_transaction(30)

    def abort(self) -> None:
        """Let them never be read."""
        self._producer.abort_transaction(30)

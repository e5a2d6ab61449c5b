"""What happens to a log, as an operator's slip makes it: topics deleted, shortened, widened; and an embedder's twin."""

import time
from collections.abc import Iterator, Mapping

import msgspec
from confluent_kafka import Consumer, Message, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]  # its stubs forget it

from schemas import embedded
from schemas.documents import DocumentAdded
from schemas.embedded import Passage, Source
from schemas.encoders import MINILM
from schemas.topics import DOCUMENTS, derived
from services.settings import Settings
from tests.eventlog.writing import make_topic, remove_topic
from tests.projections.logs import vector
from tests.services.embedder.derived_log import Writer

DERIVED = derived(MINILM.name)


class Log:
    """The topics of one installation."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._address: dict[str, str | int | float | bool | None] = {"bootstrap.servers": settings.kafka}
        self._admin = AdminClient({"bootstrap.servers": settings.kafka})

    def real(self, topic: str) -> str:
        """A topic's name in Kafka."""
        return self.settings.topic_prefix + topic

    def add(self, *document_ids: str, text: str = "text of") -> None:
        """Write a document each."""
        writer = Writer(self.settings.kafka, self.settings.topic_prefix)
        for document_id in document_ids:
            writer.add(document_id, f"{text} {document_id}")
        writer.flush()

    def recreate(self, topic: str, partitions: int = 4) -> None:
        """The same name, and nothing else of what it was."""
        remove_topic(self.settings.kafka, self.real(topic))
        while self.real(topic) in self._admin.list_topics(timeout=10).topics:
            time.sleep(0.02)
        make_topic(self.settings.kafka, self.real(topic), partitions)

    def lose_beginning(self, topic: str, befores: Mapping[int, int]) -> None:
        """Delete what lies before these offsets, as retention would."""
        wanted = [TopicPartition(self.real(topic), partition, before) for partition, before in befores.items()]
        for future in self._admin.delete_records(wanted).values():
            future.result(30)

    def widen(self, topic: str, partitions: int) -> None:
        """Add partitions, and return when the cluster knows them."""
        for future in self._admin.create_partitions([NewPartitions(self.real(topic), partitions)]).values():
            future.result(30)
        while (
            len(self._admin.list_topics(self.real(topic), timeout=10).topics[self.real(topic)].partitions) < partitions
        ):
            time.sleep(0.02)

    def ends(self, topic: str) -> dict[int, int]:
        """The end of each partition."""
        consumer = Consumer(self._address | {"group.id": "ends"})
        partitions = consumer.list_topics(self.real(topic), timeout=10).topics[self.real(topic)].partitions
        found = {
            partition: consumer.get_watermark_offsets(TopicPartition(self.real(topic), partition), timeout=10)[1]
            for partition in partitions
        }
        consumer.close()
        return found

    def embed(self, since: Mapping[int, int] | None = None, encoder: str = MINILM.name) -> None:
        """Write the derived record of every document behind `since`, as an embedder would, with any vector."""
        producer = Producer(self._address)
        incarnation = self._incarnation()
        for message in self._read(since or {}):
            partition, at, value = message.partition() or 0, message.offset() or 0, message.value() or b""
            source = Source(DOCUMENTS, partition, at, incarnation, at, at + 1, message.timestamp()[1])
            event = embedded.embedded(source, _added(value), (Passage(0, 0, 4, vector(at)),))
            headers = dict[str, str | bytes | None](embedded.headers(event, encoder))
            topic = self.real(derived(encoder))
            producer.produce(topic, embedded.encode(event), message.key(), partition, headers=headers)
        assert producer.flush(30) == 0

    def embed_beyond(self, ends: Mapping[int, int]) -> None:
        """Write the derived record of an event behind the end of each partition: the source has lost it."""
        producer = Producer(self._address)
        for partition, at in ends.items():
            event = embedded.Skipped(Source(DOCUMENTS, partition, at, self._incarnation(), at, at + 1, 0), 1)
            headers = dict[str, str | bytes | None](embedded.headers(event, MINILM.name))
            producer.produce(self.real(DERIVED), embedded.encode(event), None, partition, headers=headers)
        assert producer.flush(30) == 0

    def _read(self, since: Mapping[int, int]) -> Iterator[Message]:
        ends = self.ends(DOCUMENTS)
        consumer = Consumer(self._address | {"group.id": "twin", "enable.auto.commit": False})
        consumer.assign([TopicPartition(self.real(DOCUMENTS), each, since.get(each, 0)) for each in ends])
        left = sum(end - since.get(partition, 0) for partition, end in ends.items())
        while left:
            for message in consumer.consume(left, 1.0):
                assert message.error() is None, message.error()
                left -= 1
                yield message
        consumer.close()

    def _incarnation(self) -> str:
        found = self._admin.describe_topics(TopicCollection([self.real(DOCUMENTS)]))
        return str(found[self.real(DOCUMENTS)].result(10).topic_id)


def _added(value: bytes) -> DocumentAdded:
    return msgspec.json.decode(value, type=DocumentAdded)

"""Events as strangers write them, and the derived topic as strangers read it."""

import json
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from schemas.encoders import MINILM

PARTITIONS = 4
SOURCE = "documents"
DERIVED = f"documents.embedded.{MINILM.name}"
ADDED = b"nenrin.document.added.v1"


class Writer:
    """A librdkafka producer that knows nothing but contract 1."""

    def __init__(self, address: str, prefix: str, **settings: Any) -> None:
        base = {"bootstrap.servers": address, "partitioner": "murmur2_random", "linger.ms": 0}
        self.producer = Producer(base | settings)
        self._topic = prefix + SOURCE

    def add(self, document_id: str, text: str, **members: Any) -> None:
        """Write a document."""
        self.event(document_id, {"text": text, **members})

    def event(self, document_id: str, members: Mapping[str, Any], type_: bytes = ADDED, **headers: bytes) -> None:
        """Write any event about a document."""
        data = {"collection": "c", "document_id": document_id, **members}
        self.raw(f"c/{document_id}".encode(), json.dumps(data).encode(), headers={"ce_type": type_, **headers})

    def raw(self, key: bytes | None, value: bytes | None, *, headers: Mapping[str, bytes], partition: int = -1) -> None:
        """Write any record at all."""
        all_headers = {"ce_specversion": b"1.0", "ce_id": b"1", "ce_source": b"/test", **headers}
        self.producer.produce(self._topic, key=key, value=value, partition=partition, headers=list(all_headers.items()))

    def flush(self) -> None:
        """Wait until all is in the log."""
        assert self.producer.flush(30) == 0


def read(address: str, topic: str) -> dict[int, list[Message]]:
    """All committed records of a topic, by partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "reading",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.message.max.bytes": 20_000_000,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    found: dict[int, list[Message]] = defaultdict(list)
    ended: set[int] = set()
    while len(ended) < PARTITIONS:
        message = consumer.poll(10)
        assert message is not None, "Kafka does not answer"
        if (error := message.error()) is not None:
            assert error.code() == KafkaError._PARTITION_EOF, error
            ended.add(message.partition() or 0)
        else:
            found[message.partition() or 0].append(message)
    consumer.close()
    return found


def ends(address: str, topic: str) -> dict[int, int]:
    """The high watermark of every partition."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "ends"})
    found = {
        partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1]
        for partition in range(PARTITIONS)
    }
    consumer.close()
    return found


class Derived(msgspec.Struct):
    """A derived record, read with nothing of ours."""

    kind: str
    key: bytes | None
    headers: dict[str, bytes]
    value: dict[str, Any]

    @property
    def source(self) -> dict[str, Any]:
        """Where it comes from."""
        found: dict[str, Any] = self.value["source"]
        return found


def read_derived(address: str, prefix: str) -> dict[int, list[Derived]]:
    """The derived topic as a reader applies it: duplicates dropped, a gap an error."""
    found: dict[int, list[Derived]] = defaultdict(list)
    for partition, messages in read(address, prefix + DERIVED).items():
        position = 0
        for message in messages:
            headers: dict[str, Any] = dict(message.headers() or [])
            kind = headers["ce_type"].decode().removeprefix("nenrin.passages.").removesuffix(".v1")
            derived = Derived(kind, message.key(), headers, msgspec.msgpack.decode(message.value() or b""))
            source = derived.source
            assert source["partition"] == partition
            assert source["from"] <= position or source["offset"] < position, f"gap at {position}: {source}"
            if position < source["next"]:
                found[partition].append(derived)
                position = source["next"]
    return found


def covered(derived: Mapping[int, list[Derived]]) -> dict[int, int]:
    """The position of a reader that has applied all of it."""
    return {partition: derived[partition][-1].source["next"] if derived[partition] else 0 for partition in range(4)}


def wait_until_covered(address: str, prefix: str, within: float = 60.0) -> dict[int, list[Derived]]:
    """The derived topic, once it stands for all of the source."""
    deadline = time.monotonic() + within
    while True:
        derived = read_derived(address, prefix)
        if covered(derived) == ends(address, prefix + SOURCE):
            return derived
        assert time.monotonic() < deadline, f"{covered(derived)} of {ends(address, prefix + SOURCE)}"
        time.sleep(0.1)

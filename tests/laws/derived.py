"""The derived topic as contract 1 draws it: a chain that covers every offset of the source once."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.oracle import Oracle, Version

PREFIX = "nenrin.passages."
KINDS = {f"{PREFIX}embedded.v1": "added", f"{PREFIX}removed.v1": "removed", f"{PREFIX}rejected.v1": "invalid"}
SKIPPED = f"{PREFIX}skipped.v1"


@dataclass(frozen=True)
class Derived:
    """One record of the derived topic."""

    key: bytes | None
    type: str
    content: Mapping[str, Any]

    @property
    def source(self) -> Mapping[str, Any]:
        """Where in the source topic it comes from, and what it covers."""
        source: Mapping[str, Any] = self.content["source"]
        return source


def read_whole(kafka: str, prefix: str = "") -> dict[int, list[Derived]]:
    """Every committed record of the one derived topic, by partition."""
    consumer = Consumer({
        "bootstrap.servers": kafka, "group.id": "derived", "isolation.level": "read_committed",
        "enable.partition.eof": True, "enable.auto.commit": False,
    })  # fmt: skip
    topics = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics
    (topic,) = [name for name in topics if name.startswith(f"{prefix}documents.embedded.")]
    read: dict[int, list[Derived]] = {partition: [] for partition in topics[topic].partitions}
    consumer.assign([TopicPartition(topic, partition, 0) for partition in read])
    ended: set[int] = set()
    deadline = time.monotonic() + 60
    try:
        while len(ended) < len(read):
            assert time.monotonic() < deadline, f"{topic} can't be read to its end"
            messages: Sequence[Any] = consumer.consume(1000, 0.1)
            for message in messages:
                if message.error():
                    ended.add(message.partition())
                else:
                    read[message.partition()].append(_decoded(message))
    finally:
        consumer.close()
    return read


def _decoded(message: Any) -> Derived:
    headers = {name: value.decode() for name, value in message.headers()}
    assert headers["content-type"] == "application/msgpack"
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_id"]
    assert headers["ce_source"]
    return Derived(message.key(), headers["ce_type"], msgspec.msgpack.decode(message.value()))


def applied(records: Sequence[Derived]) -> Iterator[Derived]:
    """What a reader applies: duplicates dropped, and a gap is an error."""
    position = 0
    for record in records:
        source = record.source
        covers = position < source["next"] if record.type == SKIPPED else position <= source["offset"]
        if not covers:
            continue
        assert source["from"] <= position, f"a gap: the reader stands at {position}, and the record is {record}"
        position = source["next"]
        yield record


def check_coverage(oracle: Oracle, ends: Version, records: Mapping[int, Sequence[Derived]]) -> dict[str, int]:
    """One record for each valid or invalid one of the source, in its order, up to its end; how many of each type."""
    counted: dict[str, int] = {}
    assert set(records) == set(oracle.log)
    for partition, log in oracle.log.items():
        chain = list(applied(records[partition]))
        assert (chain[-1].source["next"] if chain else 0) == ends[partition]
        told = [record for record in chain if record.type != SKIPPED]
        meant = [record for record in log if record.kind != "unknown"]
        assert [one.source["offset"] for one in told] == [one.offset for one in meant]
        for one, original in zip(told, meant, strict=True):
            assert (KINDS[one.type], one.key) == (original.kind, original.key), one
            _check_source(oracle, partition, one)
            if original.document is not None:
                _check_document(one, original.document)
        for record in chain:
            counted[record.type] = counted.get(record.type, 0) + 1
    return counted


def _check_source(oracle: Oracle, partition: int, record: Derived) -> None:
    source = record.source
    expected = ("documents", partition, oracle.incarnation, source["offset"] + 1)
    assert (source["topic"], source["partition"], source["incarnation"], source["next"]) == expected
    assert isinstance(source["time"], int)
    if KINDS[record.type] == "invalid":
        assert record.content["reason"]
        assert isinstance(record.content["value"], bytes | None)


def _check_document(record: Derived, document: Mapping[str, Any]) -> None:
    for name in ("collection", "document_id", "title", "text", "metadata", "source_uri"):
        assert record.content.get(name) == document[name], (name, record)
    passages = record.content["passages"]
    assert [one["ordinal"] for one in passages] == list(range(len(passages)))
    assert bool(passages) or not document["text"].strip()
    for one in passages:
        assert 0 <= one["start"] < one["end"] <= len(document["text"]), record
        vector = np.frombuffer(one["vector"], "<f2").astype(np.float64)
        assert abs(np.linalg.norm(vector) - 1) < 0.01, record

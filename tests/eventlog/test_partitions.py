"""Our partitioner against librdkafka's, which every non-Java producer uses."""

import random

from confluent_kafka import Producer

from schemas.partitions import partition_of
from tests.eventlog.writing import make_topic


def test_our_partitions_are_librdkafkas(kafka: str, topic_prefix: str) -> None:
    """A producer in any language that follows the contract puts a key where we expect it."""
    topic = topic_prefix + "partitions"
    make_topic(kafka, topic, 7)
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    chosen: dict[bytes | None, int | None] = {}
    keys = {random.Random(seed).randbytes(1 + seed % 40) for seed in range(400)} | {"c/年輪".encode(), b"c/ "}
    for key in keys:
        producer.produce(topic, key=key, on_delivery=lambda _, made: chosen.update({made.key(): made.partition()}))
    assert producer.flush(30) == 0
    assert chosen == {key: partition_of(key, 7) for key in keys}

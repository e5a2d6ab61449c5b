"""The oracle against a model that the test keeps itself: who judges must be right first."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.laws.events import INVALID, Event, Straight, added, removed, structured, unknown
from tests.oracle import Oracle, Version, partition_of, read

COLLECTION = "c"
PARTITIONS = 4


@pytest.fixture
def topic(kafka: str, topic_prefix: str) -> Iterator[str]:
    """A source topic of this test's own; returns its prefix."""
    admin = AdminClient({"bootstrap.servers": kafka})
    name = f"{topic_prefix}documents"
    config = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(2 * 1024 * 1024)}
    admin.create_topics([NewTopic(name, num_partitions=PARTITIONS, replication_factor=1, config=config)])[name].result()
    deadline = time.monotonic() + 20
    while name not in admin.list_topics(timeout=10).topics:  # the broker learns of it a little later
        assert time.monotonic() < deadline
    yield topic_prefix
    admin.delete_topics([name])[name].result()


def kind_of(event: Event, at: int | None = None) -> str:
    """What the oracle makes of an event, in its right partition unless another is named."""
    right = partition_of(event.key or b"", PARTITIONS) if at is None else at
    return read(event.key, event.value or b"", event.headers, right, PARTITIONS)[0]


@pytest.mark.parametrize("how", INVALID)
def test_each_way_to_be_invalid_is_seen(how: str) -> None:
    """Nothing that contract 1 forbids is taken for a document."""
    assert kind_of(INVALID[how](COLLECTION, "one")) == "invalid"


@pytest.mark.parametrize(
    "event",
    [
        added(COLLECTION, "one", ""),
        added(COLLECTION, "one", "é" * 500_000, title="t" * 1000),
        added(COLLECTION, "i" * 512),
        added("c" * 63, "年輪/a b.c"),
        added(COLLECTION, "one", title=None, source_uri=None, metadata={}, another={"deep": [{}]}),
        added(COLLECTION, "one", metadata={"a": None, "b": [1, 2.5, True, "x", None], "c": -(2**63), "": "m" * 9000}),
        added(COLLECTION, "one", "tab\tand \x01 and \u2028 are no U+0000"),
        structured(added(COLLECTION, "one")),
        structured(removed(COLLECTION, "one")),
        removed(COLLECTION, "one"),
        replace(added(COLLECTION, "one"), headers=added(COLLECTION, "one").headers | {"traceparent": b"\xff"}),
    ],
    ids=map(str, count()),
)
def test_what_the_limits_allow_is_valid(event: Event) -> None:
    """Each limit itself still belongs to what is allowed."""
    assert kind_of(event) in ("added", "removed")


def test_a_partition_that_murmur2_does_not_give_makes_an_event_invalid() -> None:
    """Order within a document holds only where the key decides the partition."""
    event = added(COLLECTION, "one")
    right = partition_of(event.key or b"", PARTITIONS)
    assert [kind_of(event, at) for at in range(PARTITIONS)].count("invalid") == PARTITIONS - 1
    assert kind_of(event, right) == "added"


def test_an_unknown_type_is_skipped_before_any_other_check() -> None:
    """Neither its value nor its key is looked at."""
    assert kind_of(replace(unknown(COLLECTION, "one"), key=None), 3) == "unknown"


def test_the_partition_is_the_one_that_librdkafka_gives(kafka: str, topic: str) -> None:
    """murmur2 as the Java client has it, for keys of every length and script."""
    producer, oracle = Straight(kafka, topic), Oracle(kafka, topic)
    for length in range(1, 120):
        producer.hand(added(COLLECTION, "é年a"[length % 3] * length))
    producer.flush()
    oracle.read_past(ends(oracle, kafka, topic), 20)
    kinds = [record.kind for log in oracle.log.values() for record in log]
    assert kinds == ["added"] * 119


def test_the_fold_equals_a_model_at_every_version(kafka: str, topic: str) -> None:
    """Random adds, updates, removes, invalid and unknown events: the fold at each prefix is what a plain dict says."""
    seeded = random.Random(11)
    oracle, model = Oracle(kafka, topic), Model()
    producer = Straight(kafka, topic)
    for step in range(400):
        event, effect = some_event(seeded, step)
        place = producer.send(event)
        model.take(place.partition, place.offset, event, effect)
    for version, documents, parked in model.history:
        oracle.read_past(version, 20)
        for collection in ("a", "b"):
            shown = [(one["document_id"], one["text"]) for one in oracle.documents(version, collection)]
            assert shown == sorted((name, text) for (there, name), text in documents.items() if there == collection)
        counted = [there for there, _ in documents]
        assert oracle.counts(version) == {there: counted.count(there) for there in set(counted)}
        assert oracle.parked(version) == parked
    assert len(model.history) == 400


def test_the_fold_shows_documents_as_readers_see_them(kafka: str, topic: str) -> None:
    """Every field of contract 4's document, and nothing past a removal."""
    producer, oracle = Straight(kafka, topic), Oracle(kafka, topic)
    first = producer.send(added(COLLECTION, "x/y", "one", title="T", metadata={"k": [1]}, source_uri="u:1"))
    shown = at(oracle, first.partition, first.offset + 1).document(
        {first.partition: first.offset + 1}, COLLECTION, "x/y"
    )
    assert shown is not None
    added_at = shown.pop("added_at")
    assert len(added_at) == len("2026-01-01T00:00:00.000Z")
    assert shown == {
        "collection": COLLECTION,
        "document_id": "x/y",
        "title": "T",
        "text": "one",
        "metadata": {"k": [1]},
        "source_uri": "u:1",
        "source": {"topic": "documents", "partition": first.partition, "offset": first.offset},
    }
    second = producer.send(added(COLLECTION, "x/y", "two"))
    third = producer.send(removed(COLLECTION, "x/y"))
    oracle.read_past({third.partition: third.offset + 1}, 20)
    told = oracle.document({second.partition: second.offset + 1}, COLLECTION, "x/y")
    assert told is not None
    assert (told["text"], told["title"], told["metadata"], told["source_uri"]) == ("two", None, {}, None)
    assert oracle.document({third.partition: third.offset + 1}, COLLECTION, "x/y") is None
    assert oracle.document({}, COLLECTION, "x/y") is None


def test_aborted_transactions_are_not_in_the_log_and_markers_do_not_stop_it(kafka: str, topic: str) -> None:
    """Committed events count, aborted ones don't, and the oracle passes the markers behind both."""
    producer, oracle = Straight(kafka, topic, **{"transactional.id": f"{topic}one"}), Oracle(kafka, topic)
    producer.producer.init_transactions(20)
    for name, end in (("kept", "commit"), ("lost", "abort")):
        producer.producer.begin_transaction()
        for copy in range(10):
            producer.hand(added(COLLECTION, f"{name}{copy}"))
        producer.flush()
        getattr(producer.producer, f"{end}_transaction")(20)
    oracle.read_past(ends(oracle, kafka, topic), 20)
    assert {one["document_id"] for one in oracle.documents(oracle.positions)} == {f"kept{copy}" for copy in range(10)}


class Model:
    """The fold as a dict, by the effects that the test knows its own events to have."""

    def __init__(self) -> None:
        """Before the first event."""
        self.version: dict[int, int] = {}
        self.documents: dict[tuple[str, str], str] = {}
        self.parked: dict[tuple[int, int], bytes | None] = {}
        self.history: list[tuple[Version, dict[tuple[str, str], str], set[tuple[int, int]]]] = []

    def take(self, partition: int, offset: int, event: Event, effect: "Effect") -> None:
        """Apply one event and remember what it left."""
        if effect is None:
            self.parked[partition, offset] = event.key
        else:
            effect(self.documents)
        if effect not in (None, nothing):
            self.parked = {
                place: key for place, key in self.parked.items() if (place[0], key) != (partition, event.key)
            }
        self.version[partition] = offset + 1
        self.history.append((dict(self.version), dict(self.documents), set(self.parked)))


Effect = Callable[[dict[tuple[str, str], str]], Any] | None  # None: the event is invalid


def nothing(documents: dict[tuple[str, str], str]) -> None:
    """The effect of an event of unknown type."""


def some_event(seeded: random.Random, step: int) -> tuple[Event, Effect]:
    """A random event on few keys, so that they meet often."""
    collection, name, text = seeded.choice("ab"), seeded.choice(["x", "y/1", "年"]), f"text {step}"
    chance = seeded.random()
    if chance < 0.5:
        return added(collection, name, text), lambda documents: documents.update({(collection, name): text})
    if chance < 0.7:
        return removed(collection, name), lambda documents: documents.pop((collection, name), None)
    if chance < 0.8:
        return unknown(collection, name), nothing
    if chance < 0.9:
        event = added(collection, name)
        wrong = (partition_of(event.key or b"", PARTITIONS) + 1) % PARTITIONS
        return replace(event, partition=wrong), None
    return INVALID[seeded.choice([how for how in INVALID if "too long" not in how])](collection, name), None


def ends(oracle: Oracle, kafka: str, prefix: str) -> Version:
    """The high watermarks, markers included."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "ends"})
    try:
        places = [TopicPartition(f"{prefix}documents", partition) for partition in oracle.positions]
        return {place.partition: consumer.get_watermark_offsets(place, timeout=10)[1] for place in places}
    finally:
        consumer.close()


def at(oracle: Oracle, partition: int, offset: int) -> Oracle:
    """The oracle, once it has read so far."""
    oracle.read_past({partition: offset}, 20)
    return oracle

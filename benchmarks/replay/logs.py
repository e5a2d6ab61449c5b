"""Logs to be replayed."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from confluent_kafka import Producer

from benchmarks import passages
from eventlog.connection import KafkaSettings
from eventlog.topics import Topics
from schemas import embedded, events, topics
from schemas.documents import DocumentAdded, DocumentEvent, DocumentRemoved, key_of
from schemas.embedded import Passage, Source
from schemas.encoders import MINILM
from schemas.partitions import partition_of
from schemas.topics import DOCUMENTS, derived

PARTITIONS = 4
COLLECTION = "bench"

_CHUNK = 10_000
_SCATTERED = 2_654_435_761  # odd, so that no two numbers get one name: names come in no order
_TIME = 1_700_000_000_000  # milliseconds


class Mix(msgspec.Struct, frozen=True):
    """A log: how many events, on documents with texts of so many words, and which shares update or remove one."""

    events: int
    words: int
    updates: float = 0.25
    removes: float = 0.05

    def described(self) -> str:
        """In words."""
        return f"{self.events:,} events ({self.updates:.0%} updates, {self.removes:.0%} removes, {self.words} words)"


def documents(mix: Mix, texts: list[str]) -> Iterator[DocumentEvent]:
    """The events, in random order, on documents with these texts."""
    draw = random.Random(0)
    texts = [" ".join(text.split()[: mix.words]) for text in texts]
    there: list[str] = []
    for number in range(mix.events):
        kind = draw.random() if there else 1.0
        if kind < mix.removes:
            at = draw.randrange(len(there))
            there[at], there[-1] = there[-1], there[at]
            yield DocumentRemoved(COLLECTION, there.pop())
            continue
        if kind < mix.removes + mix.updates:
            name = draw.choice(there)
        else:
            there.append(name := f"guides/{number * _SCATTERED % 2**32:08x}.md")
        text = texts[number % len(texts)]
        yield DocumentAdded(COLLECTION, name, text, text[:40], {"lang": "en", "year": 1990 + number % 35})


async def make_topics(kafka: KafkaSettings) -> str:
    """The source and its derived topic; returns the incarnation of the source."""
    cluster = Topics(kafka)
    await cluster.carry_out(await cluster.plan(topics.wanted(PARTITIONS, MINILM.name)))
    (source,) = await cluster.identify(DOCUMENTS)
    return source.incarnation


def produce(kafka: KafkaSettings, incarnation: str, found: Iterator[DocumentEvent], *, derive: bool = True) -> None:
    """Write events to the source, and what an embedder would have made of them; each document is one passage."""
    producer = Producer({**kafka.confluent(), "linger.ms": 20, "batch.size": 1024 * 1024})
    ends = [0] * PARTITIONS
    vectors: list[bytes] = []
    for number, event in enumerate(found):
        if derive and not vectors:
            vectors = passages.likenesses(_CHUNK, seed=1 + number)
        key = key_of(event.collection, event.document_id)
        partition = partition_of(key, PARTITIONS)
        at = ends[partition]
        ends[partition] += 1
        headers = events.headers(event, str(number), "/nenrin/benchmarks", datetime.now(UTC))
        _send(producer, kafka.real(DOCUMENTS), partition, key, msgspec.json.encode(event), headers)
        if not derive:
            continue
        source = Source(DOCUMENTS, partition, at, incarnation, at, at + 1, _TIME + number)
        made = _derived(source, event, vectors.pop())
        headers = embedded.headers(made, MINILM.name)
        _send(producer, kafka.real(derived(MINILM.name)), partition, key, embedded.encode(made), headers)
    producer.flush()


def _derived(source: Source, event: DocumentEvent, vector: bytes) -> embedded.Derived:
    if isinstance(event, DocumentRemoved):
        return embedded.removed(source, event)
    return embedded.embedded(source, event, (Passage(0, 0, len(event.text), vector),))


def _send(  # noqa: PLR0913, PLR0917  # what a record has
    producer: Producer, topic: str, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
) -> None:
    while True:
        try:
            producer.produce(topic, value, key, partition, headers=dict[str, str | bytes | None](headers))
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return

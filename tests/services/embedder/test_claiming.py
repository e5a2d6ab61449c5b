"""Where an embedder goes on: behind what its output partition ends with, whatever anybody has committed."""

import asyncio
from collections.abc import Sequence

import pytest

from eventlog.delivery import TopicPartition
from eventlog.topics import Topics
from schemas import embedded
from schemas.embedded import Derived, Rejected, Skipped, Source
from schemas.encoders import MINILM
from schemas.topics import DOCUMENTS, derived
from services.embedder.app import Embedder
from services.embedder.producer import Producer
from services.embedder.work import Output
from services.settings import Settings
from tests.eventlog.writing import write as append

PLACES = [TopicPartition(DOCUMENTS, partition) for partition in range(4)]


def output(event: Derived) -> Output:
    """A derived record."""
    return Output(event.kind, b"k", embedded.encode(event), embedded.headers(event, MINILM.name))


async def write(settings: Settings, partition: int, events: Sequence[Derived]) -> None:
    """Append derived records, as an embedder does."""
    producer = Producer(settings.kafka_settings(), derived(MINILM.name))
    await producer.start()
    await producer.send(partition, [output(event) for event in events])
    await producer.stop()


async def incarnation(settings: Settings) -> str:
    """The source's topic id."""
    (found,) = await Topics(settings.kafka_settings()).identify(DOCUMENTS)
    return found.incarnation


def source(partition: int, since: int, next_: int, incarnation: str) -> Source:
    """A stretch of the source."""
    return Source(DOCUMENTS, partition, next_ - 1, incarnation, since, next_, 1_700_000_000_000)


def test_it_goes_on_behind_the_tail_of_its_output(installed_topics: Settings) -> None:
    """Each partition at the `next` of its last derived record, of whatever kind; at 0 where there is none."""

    async def claimed() -> dict[TopicPartition, int]:
        topic = await incarnation(installed_topics)
        first, second = Skipped(source(1, 0, 3, topic), 1), Rejected(source(1, 3, 9, topic), "text: missing", b"x")
        await write(installed_topics, 1, [first, second])
        first, second = Skipped(source(2, 1, 12, topic)), Rejected(source(2, 0, 1, topic), "text: missing", b"x")
        await write(installed_topics, 2, [second, first])
        return dict(await Embedder(installed_topics).claim(frozenset(PLACES[:3])))

    for partition in range(3):
        append(installed_topics.kafka, installed_topics.topic_prefix + DOCUMENTS, [b"x"] * 20, partition)
    assert asyncio.run(claimed()) == {PLACES[0]: 0, PLACES[1]: 9, PLACES[2]: 12}


def test_a_tail_of_another_incarnation_is_not_gone_on_from(installed_topics: Settings) -> None:
    """Offsets of a topic that is gone say nothing of this one: none of the partitions is read."""

    async def claimed() -> dict[TopicPartition, int]:
        await write(installed_topics, 0, [Skipped(source(0, 0, 3, "another"), 1)])
        return dict(await Embedder(installed_topics).claim(frozenset(PLACES)))

    append(installed_topics.kafka, installed_topics.topic_prefix + DOCUMENTS, [b"x"] * 20)
    assert asyncio.run(claimed()) == {}


def test_topics_of_another_number_of_partitions_are_not_read(installed_topics: Settings) -> None:
    """The same key would lie in another partition."""
    told = installed_topics.model_copy(update={"partitions": 5})
    assert asyncio.run(Embedder(told).claim(frozenset(PLACES))) == {}


@pytest.fixture
def installed_topics(settings: Settings, installed: str) -> Settings:
    """Settings for the topics that were made."""
    assert settings.topic_prefix == installed
    return settings

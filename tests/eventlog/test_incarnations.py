"""Whether topics still are those that were claimed, on a real cluster."""

import asyncio
from collections.abc import Iterable

import pytest

from eventlog.connection import KafkaSettings
from eventlog.incarnations import Incarnations
from eventlog.planning import Identity
from eventlog.topics import Topics
from schemas.errors import LogAway, OtherIncarnation, TopicMismatch
from schemas.topics import DOCUMENTS
from tests.eventlog.writing import make_topic, remove_topic


class Counted(Topics):
    """Topics that count how often they are asked."""

    asked = 0

    async def there(self, names: Iterable[str]) -> dict[str, Identity]:
        """Count, and answer."""
        self.asked += 1
        return await super().there(names)


@pytest.fixture
def topics(kafka: str, topic_prefix: str) -> Counted:
    """A topic of this test's own."""
    make_topic(kafka, topic_prefix + DOCUMENTS)
    return Counted(KafkaSettings(kafka, topic_prefix=topic_prefix))


async def test_one_question_serves_all_who_wait(topics: Counted) -> None:
    """Those who ask while another's question is under way share the next one."""
    incarnations = Incarnations(topics, [DOCUMENTS])
    await incarnations.hold()
    await asyncio.gather(*(incarnations.confirm() for _ in range(50)))
    assert topics.asked <= 4


async def test_a_topic_made_again_is_another(topics: Counted, kafka: str, topic_prefix: str) -> None:
    """Deleted is noticed, made again is noticed, and looking anew makes it the one to be kept."""
    incarnations = Incarnations(topics, [DOCUMENTS])
    await incarnations.hold()
    await asyncio.to_thread(remove_topic, kafka, topic_prefix + DOCUMENTS)
    while await topics.there([DOCUMENTS]):
        pass  # a broker answers a deletion before it forgets the topic
    with pytest.raises(TopicMismatch, match="was deleted while this process ran"):
        await incarnations.confirm()
    await asyncio.to_thread(make_topic, kafka, topic_prefix + DOCUMENTS)
    with pytest.raises(OtherIncarnation, match="was recreated while this process ran"):
        await incarnations.confirm()
    await incarnations.hold()
    await incarnations.confirm()


async def test_what_is_found_first_has_to_stay(kafka: str, topic_prefix: str) -> None:
    """A process that has claimed nothing, for there is no topic, hears that it was made."""
    incarnations = Incarnations(Topics(KafkaSettings(kafka, topic_prefix=topic_prefix)), [DOCUMENTS])
    await incarnations.compare()
    await asyncio.to_thread(make_topic, kafka, topic_prefix + DOCUMENTS)
    with pytest.raises(TopicMismatch, match="was made while this process ran"):
        await incarnations.compare()


async def test_a_kafka_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of the topics meanwhile, so nothing is confirmed."""
    monkeypatch.setattr("eventlog.incarnations.ASK_AGAIN_AFTER", 0.01)
    incarnations = Incarnations(Topics(KafkaSettings("127.0.0.1:1"), within=0.2), [DOCUMENTS])
    with pytest.raises(LogAway):
        await incarnations.compare()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await incarnations.confirm()

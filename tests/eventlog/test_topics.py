"""Topics on a real cluster: made once, checked ever after."""

import asyncio
import time

import pytest

from eventlog.connection import KafkaSettings
from eventlog.planning import check, check_incarnation
from eventlog.topics import Topics
from schemas.errors import LogAway, OtherIncarnation, TopicMismatch
from schemas.topics import DOCUMENTS, Topic, wanted
from tests.eventlog.writing import make_topic, remove_topic

WANTED = wanted(3, "test-encoder")


@pytest.fixture
def topics(kafka: str, topic_prefix: str) -> Topics:
    """The topics of an installation of this test's own."""
    return Topics(KafkaSettings(kafka, topic_prefix=topic_prefix))


async def test_topics_are_made_once(topics: Topics) -> None:
    """The plan names what is missing; carried out, the next plan finds nothing to do."""
    plan = await topics.plan(WANTED)
    assert [topic.name for topic in plan.missing] == ["documents", "documents.embedded.test-encoder"]
    assert "max.message.bytes=2097152" in plan.lines()[0]
    await topics.carry_out(plan)
    again = await topics.plan(WANTED)
    assert not again.missing
    assert all(line.startswith("keep topic") for line in again.lines())
    await topics.carry_out(plan)  # as a second `nenrin init` at the same time would


async def test_made_topics_keep_the_contract(topics: Topics) -> None:
    """Nothing is ever deleted by age, and time is the broker's."""
    await topics.carry_out(await topics.plan(WANTED))
    source, derived = await topics.describe(*(topic.name for topic in WANTED))
    assert source.partitions == derived.partitions == 3
    assert source.settings["retention.ms"] == "-1"
    assert source.settings["cleanup.policy"] == "delete"
    assert source.settings["message.timestamp.type"] == "LogAppendTime"
    assert derived.settings["max.message.bytes"] == str(16 * 1024 * 1024)
    assert source.incarnation != derived.incarnation


async def test_another_number_of_partitions_is_refused(topics: Topics) -> None:
    """Keys would change their partitions, so the order of a document's events would be lost."""
    await topics.carry_out(await topics.plan(WANTED))
    with pytest.raises(TopicMismatch, match="has 3 partitions, but NENRIN_PARTITIONS is 5: set it to 3"):
        await topics.plan(wanted(5, "test-encoder"))


async def test_an_absent_topic_is_named(topics: Topics, topic_prefix: str) -> None:
    """Whoever starts a service before `nenrin init` is told to run it."""
    with pytest.raises(TopicMismatch, match=f"topic {topic_prefix}documents does not exist: run `nenrin init`"):
        await topics.describe(DOCUMENTS)


async def test_a_recreated_topic_has_another_incarnation(topics: Topics, kafka: str, topic_prefix: str) -> None:
    """Same name, same partitions, but every position in it means something else."""
    make_topic(kafka, topic_prefix + DOCUMENTS)
    (before,) = await topics.describe(DOCUMENTS)
    remove_topic(kafka, topic_prefix + DOCUMENTS)
    make_topic(kafka, topic_prefix + DOCUMENTS)
    (after,) = await topics.describe(DOCUMENTS)
    with pytest.raises(OtherIncarnation, match="documents was recreated"):
        check_incarnation(DOCUMENTS, before.incarnation, after.incarnation)


async def test_a_topic_with_other_settings_is_refused(topics: Topics, kafka: str, topic_prefix: str) -> None:
    """A topic made by hand may lack what the contract needs; the message says how to set it."""
    make_topic(kafka, topic_prefix + "documents.embedded.x")  # with the smaller limit of a source topic
    (found,) = await topics.describe("documents.embedded.x")
    with pytest.raises(TopicMismatch, match=r"has max\.message\.bytes=2097152, but 16777216 is needed.*--add-config"):
        check(Topic("documents.embedded.x", 1, 16 * 1024 * 1024), found)
    check(Topic("documents.embedded.x", 1, 1024), found)  # a larger limit than needed will do


async def test_a_cluster_that_is_away_is_an_error_of_ours() -> None:
    """No client library's exception reaches a user, and whoever asks says how long an answer may take."""
    started = time.monotonic()
    with pytest.raises(LogAway, match=r"Kafka at 127\.0\.0\.1:1 did not answer"):
        await Topics(KafkaSettings("127.0.0.1:1"), within=0.5).describe(DOCUMENTS)
    assert time.monotonic() - started < 3


async def test_a_client_that_is_given_up_settles_what_others_asked() -> None:
    """Who asked a moment later hears of it too: librdkafka answers nobody once its client is gone."""
    topics = Topics(KafkaSettings("127.0.0.1:1"), within=0.5)

    async def ask(after: float) -> None:
        await asyncio.sleep(after)
        with pytest.raises(LogAway):
            await topics.there([DOCUMENTS])

    async with asyncio.timeout(10):
        await asyncio.gather(*(ask(0.1 * number) for number in range(10)))

"""An embedder between two sessions, and a log that says no: nothing is written that should not be."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import cast

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from encoders.chunking import Piece
from eventlog.connection import KafkaSettings
from eventlog.delivery import TopicPartition
from eventlog.inbox import Inbox
from eventlog.topics import Topics
from schemas.embedded import Kind
from schemas.topics import Topic
from services.embedder.pipeline import Pipeline
from services.embedder.producer import Producer
from services.embedder.work import Origin, Output
from tests.services.embedder.derived_log import read
from tests.services.embedder.events import added, deliver
from tests.services.embedder.test_pipeline import Log, SlowEncoder

PLACES = [TopicPartition("documents", partition) for partition in range(2)]
PATIENCE = 10.0


class HeldUp(SlowEncoder):
    """An encoder that begins to cut texts into passages, and goes on when it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = threading.Event(), threading.Event()

    def prepare(self, texts: Sequence[str]) -> list[list[Piece]]:
        """The same, in a while."""
        self.begun.set()
        assert self.go_on.wait(PATIENCE)
        return super().prepare(texts)


@pytest.fixture
async def pipeline() -> AsyncIterator[tuple[Pipeline, Inbox, Log, HeldUp]]:
    """A pipeline at work in its first session."""
    inbox, log, encoder = Inbox("documents"), Log(), HeldUp()
    pipeline = Pipeline(inbox, cast(Producer, log))
    inbox.begin(1, dict.fromkeys(PLACES, 0))
    pipeline.begin(Origin("incarnation", "encoder"), 2, {})
    running = asyncio.create_task(pipeline.run(encoder))
    yield pipeline, inbox, log, encoder
    encoder.go_on.set()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_was_being_prepared_when_the_session_ended_is_dropped(
    pipeline: tuple[Pipeline, Inbox, Log, HeldUp],
) -> None:
    """A rebalance while texts are cut: the next session reads them again, and from then on in its own order."""
    working, inbox, log, encoder = pipeline
    old, new = added(0, "word"), added(0, "word")
    deliver(inbox, 0, old)
    assert await asyncio.to_thread(encoder.begun.wait, PATIENCE)
    await working.halt()
    inbox.begin(2, dict.fromkeys(PLACES, 5))
    working.begin(Origin("incarnation", "encoder"), 2, {})
    deliver(inbox, 0, new)
    encoder.go_on.set()
    await log.holds(0, 1)
    assert log.ids[0] == [new.id]


async def test_a_batch_that_the_broker_refuses_is_an_error_before_the_next(kafka: str, topic_prefix: str) -> None:
    """Nothing that was to come behind it is written: that would be a hole in the derived topic."""
    settings = KafkaSettings(kafka, topic_prefix=topic_prefix)
    topics = Topics(settings)
    await topics.carry_out(await topics.plan([Topic("derived", 4, 10_000)]))
    producer = Producer(settings, "derived")
    await producer.start()
    large, small = (Output(Kind.SKIPPED, b"k", bytes(size), []) for size in (2_000_000, 10))
    with pytest.raises(MessageSizeTooLargeError):
        await producer.send(0, [large, small])
    await producer.stop()
    assert read(kafka, topic_prefix + "derived")[0] == []

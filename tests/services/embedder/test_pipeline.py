"""The pipeline with an encoder and a log that do as the test says."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from encoders.chunking import Piece
from eventlog.delivery import TopicPartition
from eventlog.inbox import Inbox
from schemas.derived import decode
from schemas.errors import PositionLost
from schemas.records import Record
from services.embedder.pipeline import Pipeline
from services.embedder.producer import Producer
from services.embedder.work import Origin, Output
from tests.services.embedder.events import added, deliver

PATIENCE = 10.0


class SlowEncoder:
    """One passage a word; `gate` holds back passages of texts with the word "slow"."""

    slice_tokens = 4

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.pace = 0.0
        self.calls: list[int] = []

    def prepare(self, texts: Sequence[str]) -> list[list[Piece]]:
        """Cut at spaces; the token says whether the word is slow."""
        return [
            [
                Piece(ordinal, 0, 1, np.array([1 if word == "slow" else 0], dtype=np.int32))
                for ordinal, word in enumerate(text.split())
            ]
            for text in texts
        ]

    def encode(self, pieces: Sequence[Piece]) -> NDArray[np.float16]:
        """Vectors of one number, once the gate lets them."""
        self.calls.append(len(pieces))
        time.sleep(self.pace)
        if any(piece.tokens[0] for piece in pieces):
            assert self.gate.wait(PATIENCE)
        return np.array([[piece.ordinal] for piece in pieces], dtype="<f2")


class Log:
    """Where outputs go; checks that a partition never has two batches on their way."""

    def __init__(self) -> None:
        self.ids: dict[int, list[str]] = {0: [], 1: []}
        self.on_its_way: set[int] = set()
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, partition: int, outputs: Sequence[Output]) -> None:
        """Acknowledge after a while, once the log is open."""
        assert partition not in self.on_its_way, "two batches at once"
        self.on_its_way.add(partition)
        await asyncio.sleep(0.001)
        await self.open.wait()
        for output in outputs:
            event = decode(Record("derived", partition, 0, 0, output.key, output.value, tuple(output.headers)))
            self.ids[partition].append(getattr(event, "document_id", output.kind.name))
        self.on_its_way.discard(partition)

    async def holds(self, partition: int, count: int) -> None:
        """Wait until so many records are there."""
        async with asyncio.timeout(PATIENCE):
            while len(self.ids[partition]) < count:  # noqa: ASYNC110  # nothing here announces itself
                await asyncio.sleep(0.005)


@pytest.fixture
def inbox() -> Inbox:
    """An inbox that owns two partitions."""
    inbox = Inbox("documents")
    inbox.begin(1, {TopicPartition("documents", 0): 0, TopicPartition("documents", 1): 0})
    return inbox


@pytest.fixture
def written() -> Log:
    """The derived topic."""
    return Log()


@pytest.fixture
def encoder() -> SlowEncoder:
    """The model."""
    return SlowEncoder()


@pytest.fixture
async def pipeline(inbox: Inbox, written: Log, encoder: SlowEncoder) -> AsyncIterator[Pipeline]:
    """A pipeline at work."""
    pipeline = Pipeline(inbox, cast(Producer, written))
    pipeline.begin(Origin("incarnation", "encoder"), 2, {})
    running = asyncio.create_task(pipeline.run(encoder))
    yield pipeline
    encoder.gate.set()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_each_partition_keeps_the_order_of_its_source(
    pipeline: Pipeline, inbox: Inbox, written: Log, encoder: SlowEncoder
) -> None:
    """A document that takes long holds back those behind it in its partition, and in no other."""
    slow, *others = added(0, "slow"), *(added(0, "word") for _ in range(5))
    elsewhere = [added(1, "word") for _ in range(5)]
    deliver(inbox, 0, slow, *others)
    deliver(inbox, 1, *elsewhere)
    await written.holds(1, 5)
    assert written.ids[0] == []
    encoder.gate.set()
    await written.holds(0, 6)
    assert written.ids == {0: [slow.id, *(event.id for event in others)], 1: [event.id for event in elsewhere]}
    assert len(inbox) == 0


async def test_a_huge_document_shares_the_model(
    pipeline: Pipeline, inbox: Inbox, written: Log, encoder: SlowEncoder
) -> None:
    """Passages of others go between those of a document that has thousands."""
    encoder.pace = 0.01
    deliver(inbox, 0, added(0, "word " * 1000))
    deliver(inbox, 1, added(1, "word"))
    await written.holds(1, 1)
    assert written.ids[0] == []
    await written.holds(0, 1)
    assert sum(encoder.calls) == 1001


async def test_after_a_halt_nothing_of_the_old_session_is_written(
    pipeline: Pipeline, inbox: Inbox, written: Log, encoder: SlowEncoder
) -> None:
    """What was on its way is acknowledged first; what was being encoded is forgotten."""
    written.open.clear()
    deliver(inbox, 0, added(0, ""), added(0, "slow"), added(0, ""))
    deliver(inbox, 1, added(1, ""))
    await asyncio.sleep(0.05)
    halting = asyncio.create_task(pipeline.halt())
    inbox.end()
    await asyncio.sleep(0.05)
    assert not halting.done()
    written.open.set()
    await halting
    assert (len(written.ids[0]), len(written.ids[1])) == (1, 1)
    encoder.gate.set()
    await asyncio.sleep(0.05)
    assert (len(written.ids[0]), len(written.ids[1])) == (1, 1)


async def test_an_error_of_the_log_ends_the_process_before_another_batch(
    pipeline: Pipeline, inbox: Inbox, written: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch behind one that failed would leave a hole, or come twice."""
    ended: list[BaseException] = []
    sent: list[int] = []

    async def refuse(partition: int, outputs: Sequence[Output]) -> None:
        sent.append(len(outputs))
        raise OSError("refused")

    def end_process(_: str, error: BaseException) -> None:
        ended.append(error)

    monkeypatch.setattr(written, "send", refuse)
    monkeypatch.setattr("eventlog.ending.end_process", end_process)
    deliver(inbox, 0, added(0, "word"))
    await asyncio.sleep(0.1)
    deliver(inbox, 0, added(0, "word"))
    await asyncio.sleep(0.1)
    assert isinstance(ended[0], OSError)
    assert sent == [1]


async def test_a_log_that_cannot_be_read_on_ends_the_process_behind_what_was_read(
    pipeline: Pipeline, inbox: Inbox, written: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the words of whoever noticed; the next life begins with a look at the log."""
    ended: list[BaseException] = []

    def end_process(_: str, error: BaseException) -> None:
        ended.append(error)
        raise asyncio.CancelledError

    monkeypatch.setattr("eventlog.ending.end_process", end_process)
    deliver(inbox, 0, added(0, "word"))
    await written.holds(0, 1)
    inbox.fail(7, PositionLost("of another session"))
    inbox.fail(inbox.session, PositionLost("documents/0: gone"))
    async with asyncio.timeout(PATIENCE):
        while not ended:  # noqa: ASYNC110  # nothing here announces itself
            await asyncio.sleep(0.005)
    assert [str(error) for error in ended] == ["documents/0: gone"]


async def test_a_text_of_nothing_needs_no_model(
    pipeline: Pipeline, inbox: Inbox, written: Log, encoder: SlowEncoder
) -> None:
    """An empty document has no passages, and its record all the same."""
    deliver(inbox, 0, added(0, ""), added(0, "  "))
    await written.holds(0, 2)
    assert encoder.calls == []

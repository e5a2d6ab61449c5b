"""Fetches and sessions: a session that begins while a fetch is under way loses nothing."""

import asyncio
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from aiokafka.errors import OffsetOutOfRangeError

from eventlog.connection import KafkaSettings
from eventlog.delivery import TopicPartition
from eventlog.fetching import PositionedThread, Reading
from eventlog.inbox import Inbox
from schemas.errors import PositionLost

TP = aiokafka.TopicPartition("documents", 0)


class Broker:
    """A consumer whose fetch is woken by a seek, and then returns what lies at the new position, as aiokafka's does."""

    def __init__(self) -> None:
        self.at = 0
        self.end = 0
        self.lost = False
        self.fetching = asyncio.Event()
        self._woken = asyncio.Event()

    def seek(self, tp: Any, position: int) -> None:
        self.at = position
        self._woken.set()

    async def getmany(self, *_: Any, timeout_ms: int, max_records: int) -> dict[Any, list[Any]]:
        if self.lost:
            raise OffsetOutOfRangeError({TP: self.at})
        self._woken.clear()
        self.fetching.set()
        if self.at == self.end:
            try:
                async with asyncio.timeout(timeout_ms / 1000):
                    await self._woken.wait()
            except TimeoutError:
                return {}
        found = [
            SimpleNamespace(offset=at, partition=0, timestamp=0, key=b"", value=b"", headers=())
            for at in range(self.at, self.end)
        ]
        self.at = self.end
        return {TP: found} if found else {}

    async def position(self, _: Any) -> int:
        return self.at

    def assignment(self) -> set[Any]:
        return {TP}

    def pause(self, *_: Any) -> None: ...

    def resume(self, *_: Any) -> None: ...

    async def beginning_offsets(self, places: Any) -> dict[Any, int]:
        return dict.fromkeys(places, 0)

    async def end_offsets(self, places: Any) -> dict[Any, int]:
        return dict.fromkeys(places, 1_000)


class Thread(PositionedThread):
    """The thread's own code, run in the test's loop over a consumer made by hand."""

    def __init__(self, broker: Broker, inbox: Inbox) -> None:
        async def claim(_: Any) -> dict[TopicPartition, int]:
            return {}

        async def release() -> None: ...

        self.reading = Reading(KafkaSettings("nowhere:1"), [inbox], claim, release)
        self._broker = broker
        self.loop = self.parent_loop = asyncio.get_running_loop()
        self._session, self._next, self._ahead_since = 0, {}, {}

    def _ensure_consumer(self) -> Any:
        return self._broker

    async def begin(self, session: int, position: int) -> None:
        """What a claim does: the inbox first, then the thread."""
        self.reading.inboxes["documents"].begin(session, {TopicPartition("documents", 0): position})
        await self._begin_session(session, {TP: position})


@pytest.fixture
async def inbox() -> Inbox:
    """Where the topic's deliveries are counted."""
    return Inbox("documents")


async def test_what_a_fetch_under_way_takes_after_a_seek_is_not_lost(inbox: Inbox) -> None:
    """A fetch waits at the end of the log when a new session seeks to 10: it delivers 10 to 14, all of them."""
    broker = Broker()
    thread = Thread(broker, inbox)
    await thread.begin(1, 0)
    under_way = asyncio.create_task(thread._fetch(frozenset({TP}), 1.0))
    await broker.fetching.wait()
    broker.end = 15
    await thread.begin(2, 10)
    await under_way
    found = await thread._fetch(frozenset({TP}), 1.0)
    deliveries = [delivery for group in found[TP] for delivery in group if delivery.session == 2]
    assert [(delivery.since, delivery.next) for delivery in deliveries] == [(at, at + 1) for at in range(10, 15)]


async def test_a_log_that_loses_a_position_while_it_is_read_is_read_no_more(inbox: Inbox) -> None:
    """Retention may overtake a reader: who takes the deliveries hears of it once, and nothing is fetched after that."""
    broker = Broker()
    thread = Thread(broker, inbox)
    await thread.begin(1, 5)
    broker.lost = True
    assert await thread._fetch(frozenset({TP}), 0.3) == {}
    with pytest.raises(PositionLost, match="documents/0: offset 5 was to come next"):
        await inbox.take(1, 1)
    assert thread._next == {}

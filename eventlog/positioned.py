"""A Faust transport that reads from positions which the process keeps itself, never from offsets committed to Kafka.

Faust calls `seek_to_committed` after every assignment, before it delivers anything. Here that is the moment when the
process claims its partitions and says where it goes on.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import structlog
from aiokafka.errors import IllegalStateError
from faust.transport.drivers.aiokafka import Consumer, Transport
from faust.types import TP, AppT, ConsumerMessage

from eventlog.delivery import Delivered
from eventlog.ending import exit_on_error
from eventlog.fetching import PositionedThread, Reading

CLAIM_WITHIN = 25.0
"""Seconds. Faust gives a seek the request timeout, and then would go on without it."""

log = structlog.get_logger()


class Message(ConsumerMessage):
    """What passes through Faust: the partition for its routing, our deliveries for the agent.

    One message holds all that a fetch brought of a partition: Faust spends about 60 us on a message.
    """

    __slots__ = ("deliveries",)
    deliveries: tuple[Delivered, ...]


def delivered(event: Any) -> tuple[Delivered, ...]:
    """What a Faust event of ours delivers."""
    message = event.message
    assert isinstance(message, Message)
    return message.deliveries


class _Unknown(dict[TP, int | None]):
    """What Faust remembers to have read: nothing, or it would drop what a new session reads again."""

    def __missing__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        pass

    def update(self, *_: Any, **__: Any) -> None:
        """Forget."""


class PositionedConsumer(Consumer):
    """Claims after every assignment, and reads from where the claim says."""

    _thread: PositionedThread
    reading: Reading
    _session = 0
    _left = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _Unknown()
        self._claiming = asyncio.Lock()

    def _new_consumer_thread(self) -> PositionedThread:
        self.reading = cast(PositionedTransport, self.transport).reading
        thread = PositionedThread(self, loop=self.loop, beacon=self.beacon)
        thread.reading = self.reading
        return thread

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Claim what is assigned, and begin a session there."""
        with exit_on_error("claiming partitions"):
            async with asyncio.timeout(CLAIM_WITHIN), self._claiming:
                return await self._claim()
        return {}

    async def claim_again(self) -> None:
        """Claim what is assigned once more, and begin a session there. A rebalance ends with a claim of its own."""
        with exit_on_error("claiming partitions"):
            async with asyncio.timeout(CLAIM_WITHIN), self._claiming:
                if not self.app.rebalancing:
                    await self._claim()

    async def _claim(self) -> Mapping[TP, int]:
        assigned = frozenset(self.reading.logical(tp) for tp in self._thread.assignment())
        log.info("assigned", group=self.app.conf.id, partitions=sorted(map(str, assigned)))
        self._empty_inboxes()
        positions = {} if self._left else await self.reading.claim(assigned)
        assert set(positions) <= assigned, "a claim names no partition but those that it was asked for"
        self._session += 1
        for inbox in self.reading.inboxes.values():
            inbox.begin(self._session, positions)
        real = {self.reading.real(place): position for place, position in positions.items()}
        try:
            await self._thread.begin_session(self._session, real)
        except IllegalStateError:
            return {}  # a partition was taken away meanwhile: another assignment, and another claim, follow
        log.info("reading", group=self.app.conf.id, positions={str(place): at for place, at in positions.items()})
        return real

    async def let_go(self) -> None:
        """Forget what waits, and have the process finish what it is writing.

        A claim under way is finished first: one that went on after this would take partitions from their next owner.
        """
        with exit_on_error("releasing partitions"):
            async with self._claiming:
                self._empty_inboxes()
                await self.reading.release()

    async def leave(self) -> None:
        """Let go for good: whatever the group still gives this application is claimed no more."""
        self._left = True
        await self.let_go()

    def _empty_inboxes(self) -> None:
        for inbox in self.reading.inboxes.values():
            inbox.end()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109  # Faust's
        records = await self._thread.getmany(active_partitions, timeout)
        # A flow that was stopped meanwhile is one that will be sought again: None keeps Faust from seeking twice.
        return records if self.flow_active else None

    def highwater(self, tp: TP) -> int:
        """Nothing: Faust asks it for each record, for a monitor that nobody reads, and across threads."""
        return 0

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        message = Message(
            tp.topic,
            tp.partition,
            record[-1].next - 1,
            0.0,
            0,
            None,
            None,
            b"",
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )
        message.deliveries = record
        return message


class PositionedTransport(Transport):
    """The transport of an application that keeps its own positions."""

    Consumer = PositionedConsumer

    def __init__(self, app: AppT, reading: Reading) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.reading = reading

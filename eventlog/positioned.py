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


class PositionedConsumer(Consumer):
    """Claims after every assignment, and reads from where the claim says."""

    _thread: PositionedThread
    reading: Reading
    _session = 0

    def _new_consumer_thread(self) -> PositionedThread:
        self.reading = cast(PositionedTransport, self.transport).reading
        thread = PositionedThread(self, loop=self.loop, beacon=self.beacon)
        thread.reading = self.reading
        return thread

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Claim what is assigned, and begin a session there."""
        with exit_on_error("claiming partitions"):
            assigned = frozenset(self.reading.logical(tp) for tp in self._thread.assignment())
            self._empty_inboxes()
            async with asyncio.timeout(CLAIM_WITHIN):
                positions = await self.reading.claim(assigned)
            assert set(positions) == assigned, "a claim names a position for each partition and no other"
            self._session += 1
            for inbox in self.reading.inboxes.values():
                inbox.begin(self._session, positions)
            real = {self.reading.real(place): position for place, position in positions.items()}
            try:
                await self._thread.begin_session(self._session, real)
            except IllegalStateError:
                return {}  # a partition was taken away meanwhile: another assignment, and another claim, follow
            log.info("reading", session=self._session, positions={str(place): at for place, at in positions.items()})
            return real
        return {}

    async def let_go(self) -> None:
        """Forget what waits, and have the process finish what it is writing."""
        with exit_on_error("releasing partitions"):
            self._empty_inboxes()
            await self.reading.release()

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

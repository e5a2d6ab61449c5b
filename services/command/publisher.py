"""Writing events to the log, with the truth about what became of each."""

import asyncio
import contextlib
import time
import uuid
from datetime import UTC, datetime

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter

from eventlog.connection import KafkaSettings
from eventlog.watch import Identity, Watch
from schemas import events, topics
from schemas.documents import DocumentEvent, key_of
from schemas.errors import LogAway, TopicMismatch
from schemas.versions import Version
from services.command.producing import Outgoing, Place, ProducerLife

DEADLINE = 4.5
"""Seconds for a write, from the first look for a producer to an answer: half a second below the contract's five."""

PATIENCE = 1.5
"""Seconds of them to wait for Kafka to come back before a write is refused as not written."""

INTERVAL = 1.0
"""Seconds between two looks at the topic."""

log = structlog.get_logger()


class Publisher:
    """Keeps a usable producer while Kafka is there, and writes events with it.

    `run` must run for as long as events are published.
    """

    def __init__(self, settings: KafkaSettings, source: str, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._source = source
        self._life: ProducerLife | None = None
        self._missing = "not asked yet"
        self._usable = asyncio.Event()
        self._look = asyncio.Event()
        self._writes = Counter("nenrin_writes", "Writes by what became of them.", ("outcome",), registry=registry)

    @property
    def state(self) -> str:
        """Either "ok" or why nothing can be written now."""
        return "ok" if self._usable.is_set() else self._missing

    async def publish(self, event: DocumentEvent, traceparent: str | None = None) -> Version:
        """Write a valid event; return the version that covers it, once all in-sync replicas have it.

        Raises `LogAway` with the outcome "not_written" or "unknown"; `InvalidInput` when the record is too large.
        """
        deadline = time.monotonic() + DEADLINE
        try:
            version = await self._publish(self._record(event, traceparent), deadline)
        except LogAway as error:
            self._writes.labels(error.outcome).inc()
            log.info("write not acknowledged", outcome=error.outcome, reason=str(error))
            raise
        self._writes.labels("acknowledged").inc()
        return version

    async def _publish(self, record: Outgoing, deadline: float) -> Version:
        life = await self._usable_life()
        delivery = life.hand_over(record)
        try:
            await asyncio.wait({delivery}, timeout=deadline - time.monotonic())
        except asyncio.CancelledError:  # the service stops: its caller must still learn what that means for the write
            self._discard(life, "the service is stopping")
        if not delivery.done():
            self._discard(life, f"no answer within {DEADLINE} s")
        return self._version(await self._outcome(life, delivery), life)

    async def _outcome(self, life: ProducerLife, delivery: "asyncio.Future[Place]") -> Place:
        try:
            return await delivery
        except LogAway as error:
            self._discard(life, str(error))
            raise

    def _version(self, place: Place, life: ProducerLife) -> Version:
        return Version({topics.DOCUMENTS: {place.partition: place.offset + 1}}, {topics.DOCUMENTS: life.incarnation})

    def _record(self, event: DocumentEvent, traceparent: str | None) -> Outgoing:
        headers = events.headers(event, str(uuid.uuid4()), self._source, datetime.now(UTC))
        if traceparent is not None:
            headers.append(("traceparent", traceparent.encode()))
        return Outgoing(key_of(event.collection, event.document_id), msgspec.json.encode(event), headers)

    async def _usable_life(self) -> ProducerLife:
        if not self._usable.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._usable.wait(), PATIENCE)
        if self._life is None or not self._usable.is_set():
            raise LogAway("not_written", f"{self._missing}. Nothing was written; try again.")
        return self._life

    async def run(self) -> None:
        """Look at the topic now and again: a producer is usable only while Kafka answers and the topic is as it was."""
        watch = Watch(self._settings)
        while True:
            try:
                self._adopt((await watch.identify(topics.DOCUMENTS))[topics.DOCUMENTS])
            except (LogAway, TopicMismatch) as error:
                self._miss(str(error))
            await self._pause()

    async def aclose(self) -> None:
        """Discard the producer. Whatever is still in flight becomes "unknown"."""
        if (life := self._life) is not None:
            self._discard(life, "the service is stopping")
            await asyncio.to_thread(life.join, 2.0)

    def _adopt(self, found: Identity) -> None:
        if self._life is not None and self._life.incarnation != found.incarnation:
            log.warning("topic recreated", topic=found.topic, incarnation=found.incarnation)
            self._discard(self._life, "the topic was recreated")
        if self._life is None:
            self._life = ProducerLife(self._settings, found.topic, found.incarnation, self._down)
            log.info("producer ready", topic=found.topic, incarnation=found.incarnation, partitions=found.partitions)
        self._usable.set()

    def _miss(self, reason: str) -> None:
        if reason != self._missing:
            log.warning("kafka missing", reason=reason)
        self._missing = reason
        self._usable.clear()

    def _down(self, reason: str) -> None:
        self._miss(f"Kafka at {self._settings.bootstrap} does not answer ({reason})")
        self._look.set()

    def _discard(self, life: ProducerLife, reason: str) -> None:
        life.discard(reason)
        if self._life is life:
            self._life = None
            self._missing = "a new producer is being made, for Kafka did not acknowledge a write"
            self._usable.clear()
            self._look.set()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._look.wait(), INTERVAL)
        self._look.clear()

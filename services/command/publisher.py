"""Writing events to the log, with the truth about what became of each."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry

from eventlog.connection import KafkaSettings
from eventlog.planning import Identity, mismatch
from eventlog.topics import Topics
from schemas import events, topics
from schemas.documents import DocumentEvent, key_of
from schemas.errors import LogAway, TopicMismatch
from schemas.versions import Version
from services import tracing
from services.command import metrics
from services.command.bulk import BulkLife
from services.command.producing import Outgoing, Place, ProducerLife
from services.command.stream import Stream

DEADLINE = 4.5
"""Seconds for a write, from the first look for a producer to an answer: half a second below the contract's five."""

PATIENCE = 1.5
"""Seconds of them to wait for Kafka to come back before a write is refused as not written."""

ANSWER_WITHIN = 3.0
"""Seconds in which Kafka answers such a look, or is away."""

STREAMS = 100
"""How many streams may be open at once: each may hold a line of 4 MiB that has not ended."""

INTERVAL = 1.0
"""Seconds between two looks at the topic."""

log = structlog.get_logger()


class Publisher:
    """Keeps a usable producer while Kafka is there, and writes events with it.

    `run` must run for as long as events are published.
    """

    partitions: int | None = None
    """Nothing is written into a topic with another number of them: that would part a document's events."""

    def __init__(
        self,
        settings: KafkaSettings,
        source: str,
        registry: CollectorRegistry,
        tracer: Tracer | None = None,
        advice: Callable[[], str] = str,
    ) -> None:
        """`advice` says why Kafka may be away, where somebody knows; "" otherwise."""
        self._settings = settings
        self._cluster = Topics(settings, within=ANSWER_WITHIN)
        self._tracer = tracer
        self._advice = advice
        self._source = source
        self._life: ProducerLife | None = None
        self._bulk: BulkLife | None = None
        self._missing = "not asked yet"
        self._usable = asyncio.Event()
        self._look = asyncio.Event()
        self._writes = metrics.writes(registry)

    @property
    def state(self) -> str:
        """Either "ok" or why nothing can be written now."""
        return "ok" if self._usable.is_set() else self._advised(self._missing)

    async def publish(self, event: DocumentEvent, traceparent: str | None = None) -> Version:
        """Write a valid event; return the version that covers it, once all in-sync replicas have it.

        Raises `LogAway` with the outcome "not_written" or "unknown"; `InvalidInput` when the record is too large.
        """
        deadline = time.monotonic() + DEADLINE
        try:
            with tracing.producing(self._tracer, topics.DOCUMENTS, traceparent) as carried:
                version = await self._publish(self.record(event, carried), deadline)
        except LogAway as error:
            self._writes.labels(error.outcome).inc()
            log.info("write not acknowledged", outcome=error.outcome, reason=str(error))
            raise LogAway(error.outcome, self._advised(str(error))) from error
        self._writes.labels("acknowledged").inc()
        return version

    @contextlib.asynccontextmanager
    async def streaming(self, stream: Stream[Any], traceparent: str | None) -> AsyncIterator[str | None]:
        """Write a stream of records; all are acknowledged at the end. Yields the `traceparent` for them to carry.

        Raises `LogAway`: `stream` then says how far it is.
        """
        try:
            with tracing.producing(self._tracer, topics.DOCUMENTS, traceparent) as carried:
                async with stream.writing():
                    yield carried
        except LogAway as error:
            log.info(
                "stream cut off", outcome=stream.outcome, acknowledged=stream.ledger.acknowledged, reason=str(error)
            )
            raise LogAway(error.outcome, self._advised(str(error))) from error
        finally:
            self._writes.labels("acknowledged").inc(stream.ledger.acknowledged)
            self._writes.labels("unknown").inc(stream.ledger.open)

    def _advised(self, reason: str) -> str:
        """A reason why Kafka is away, with what somebody knows of it."""
        advice = self._advice()
        return f"{reason.rstrip('.')}; {advice}." if advice else reason

    def stream(self) -> Stream[Any]:
        """A stream to write inside `streaming`."""
        return Stream(self._bulk_life, self._discard_bulk, self._publish_alone)

    async def heads(self) -> Version:
        """How far the topic reaches now. Raises `LogAway`, `TopicMismatch`."""
        (found,) = await self._cluster.identify(topics.DOCUMENTS)
        heads = await self._cluster.heads([found])
        return Version(
            {topics.DOCUMENTS: {partition: head for (_, partition), head in heads.items()}},
            {topics.DOCUMENTS: found.incarnation},
        )

    async def _bulk_life(self) -> BulkLife:
        life = await self._usable_life()
        if self._bulk is None:
            self._bulk = BulkLife(self._settings, life.incarnation, self._down)
        if len(self._bulk.streams) >= STREAMS:
            raise LogAway("not_written", f"{STREAMS} bulk calls are under way already; try again in a moment.")
        return self._bulk

    async def _publish_alone(self, record: Outgoing) -> Version:
        return await self._publish(record, time.monotonic() + DEADLINE)

    def _discard_bulk(self, life: BulkLife, reason: str) -> None:
        life.discard(reason)
        if self._bulk is life:
            self._bulk = None
            self._look.set()

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

    def record(self, event: DocumentEvent, traceparent: str | None, event_id: str | None = None) -> Outgoing:
        """An event as the record that carries it."""
        headers = events.headers(event, event_id or str(uuid.uuid4()), self._source, datetime.now(UTC))
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
        while True:
            try:
                (found,) = await self._cluster.identify(topics.DOCUMENTS)
                self._check(found)
                self._adopt(found)
            except (LogAway, TopicMismatch) as error:
                self._miss(str(error))
            await self._pause()

    async def aclose(self) -> None:
        """Discard the producer. Whatever is still in flight becomes "unknown"."""
        if self._bulk is not None:
            self._discard_bulk(self._bulk, "the service is stopping")
        if (life := self._life) is not None:
            self._discard(life, "the service is stopping")
            await asyncio.to_thread(life.join, 2.0)

    def _check(self, found: Identity) -> None:
        if self.partitions not in {None, found.partitions}:
            raise mismatch(found.name, found.partitions, self.partitions or 0)

    def _adopt(self, found: Identity) -> None:
        if self._life is not None and self._life.incarnation != found.incarnation:
            log.warning("topic recreated", topic=found.name, incarnation=found.incarnation)
            self._discard(self._life, "the topic was recreated")
        if self._bulk is not None and self._bulk.incarnation != found.incarnation:
            self._discard_bulk(self._bulk, "the topic was recreated")
        if self._life is None:
            self._life = ProducerLife(self._settings, found.name, found.incarnation, self._down)
            log.info("producer ready", topic=found.name, incarnation=found.incarnation, partitions=found.partitions)
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

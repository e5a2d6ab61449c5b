"""The embedder's process: where it goes on, and how it is put together."""

import asyncio
import gc
from collections.abc import Mapping
from contextlib import suppress

import structlog
import uvloop

from encoders.cache import VectorCache
from encoders.encoder import TextEncoder
from eventlog.app import create_app, run_app
from eventlog.delivery import TopicPartition
from eventlog.inbox import Inbox
from eventlog.planning import Described, check_incarnation
from eventlog.tail import read_tails
from eventlog.topics import Topics
from schemas import embedded
from schemas.embedded import Source
from schemas.encoders import MINILM, Encoder
from schemas.errors import TopicMismatch
from schemas.topics import DOCUMENTS, derived
from services.background import serve_status
from services.embedder.metrics import Metrics
from services.embedder.pipeline import Pipeline
from services.embedder.producer import Producer
from services.embedder.work import Origin
from services.settings import Settings
from web.readiness import Readiness
from web.registry import Registry

INBOX_BYTES = 16 * 1024 * 1024
"""Of source records; their vectors take up to five times as much."""

STOP_WITHIN = 2.0
"""Seconds for the producer's goodbye; a Kafka that is away would never answer it."""

log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Embed until SIGTERM or SIGINT."""
    cache = vector_cache(settings, MINILM)
    embedder = Embedder(settings, MINILM, cache)
    serve_status(settings.host, settings.metrics_port, embedder.registry, embedder.readiness)
    uvloop.run(embedder.run())
    if cache is not None:
        cache.close()


def vector_cache(settings: Settings, encoder: Encoder) -> VectorCache | None:
    """Where this machine's embedders remember what they encoded; none if it may take no room."""
    limit = settings.vector_cache * 1024 * 1024
    return VectorCache(settings.state / "vectors.sqlite", limit, encoder) if limit else None


class Embedder:
    """One process that writes the derived topic of one encoder.

    It keeps no position: what its output partition ends with says where it goes on.
    """

    def __init__(self, settings: Settings, encoder: Encoder = MINILM, cache: VectorCache | None = None) -> None:
        self.registry = Registry()
        self._kafka = kafka = settings.kafka_settings()
        self._partitions = settings.partitions
        self._device = settings.device
        self._encoder = encoder
        self._cache = cache
        self._topic = derived(encoder.name)
        self._topics = Topics(kafka)
        self._inbox = Inbox(DOCUMENTS, size=INBOX_BYTES)
        self._producer = Producer(kafka, self._topic)
        self._pipeline = Pipeline(self._inbox, self._producer, metrics=Metrics(self.registry))
        self._app = create_app(f"nenrin-embedder-{encoder.name}", kafka, [self._inbox], self.claim, self._pipeline.halt)
        self._loaded = False

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Embed until a signal says stop, or `stop` where it is given."""
        await self._producer.start()
        await run_app(self._app, self._work, stop=stop)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_WITHIN):
                await self._producer.stop()

    def readiness(self) -> Readiness:
        """Ready is who has claimed its partitions, however many they are; events may wait while the model loads."""
        return Readiness(
            {"partitions": "ok" if self._app.settled else "not claimed: the consumer group is dividing them"},
            {"encoder": "loaded" if self._loaded else "loading"},
        )

    async def _work(self) -> None:
        encoder = await asyncio.to_thread(TextEncoder, self._encoder, self._device)
        # What is loaded stays: no collection needs to look at it again, and none takes long enough to be noticed.
        gc.collect()
        gc.freeze()
        log.info("encoder loaded", encoder=encoder.describe(), topic=self._topic)
        self._loaded = True
        await self._pipeline.run(encoder, self._cache)

    async def claim(self, assignment: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take over partitions: each goes on where the tail of its output partition ends."""
        await self._pipeline.halt()
        source, output = await self._topics.describe(DOCUMENTS, self._topic)
        self._check(source, output)
        tails = await self._tails(assignment)
        for tail in tails.values():
            if tail is not None:
                check_incarnation(DOCUMENTS, tail.incarnation, source.incarnation)
        times = {place: tail.time for place, tail in tails.items() if tail is not None}
        self._pipeline.begin(Origin(source.incarnation, self._encoder.name), source.partitions, times)
        return {place: 0 if tail is None else tail.next for place, tail in tails.items()}

    def _check(self, source: Described, output: Described) -> None:
        for topic in (source, output):
            if topic.partitions != self._partitions:
                raise TopicMismatch(
                    f"topic {topic.name} has {topic.partitions} partitions, but NENRIN_PARTITIONS is "
                    f"{self._partitions}; the number is fixed for the life of a topic"
                )

    async def _tails(self, assignment: frozenset[TopicPartition]) -> dict[TopicPartition, Source | None]:
        output = {TopicPartition(self._topic, place.partition): place for place in assignment}
        tails = await read_tails(self._kafka, output)
        return {
            output[place]: None if record is None else embedded.decode(record).source for place, record in tails.items()
        }

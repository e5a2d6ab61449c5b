"""The embedder's process: where it goes on, and how it is put together."""

import asyncio
import gc
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress

import structlog
import uvloop

from encoders.cache import VectorCache
from encoders.encoder import TextEncoder
from eventlog.app import begin_again, create_app, run_app
from eventlog.delivery import TopicPartition
from eventlog.ending import leave
from eventlog.inbox import Inbox
from eventlog.incarnations import Incarnations
from eventlog.planning import Bounds, Described, check_incarnation, check_position, mismatch
from eventlog.tail import read_tails
from eventlog.topics import Topics
from schemas import embedded
from schemas.embedded import Source
from schemas.encoders import MINILM, Encoder
from schemas.errors import (
    LogAway,
    LogCut,
    NenrinError,
    OtherIncarnation,
    PositionLost,
    TopicMismatch,
    UndecodableRecord,
)
from schemas.mending import EMBED_AGAIN
from schemas.topics import DOCUMENTS, derived
from services.background import serve_status
from services.embedder.metrics import Metrics
from services.embedder.pipeline import Pipeline
from services.embedder.producer import Producer
from services.embedder.work import Origin
from services.loading import loaded
from services.settings import Settings
from web.readiness import Readiness
from web.registry import Registry

INBOX_BYTES = 16 * 1024 * 1024
"""Of source records; their vectors take up to five times as much."""

STOP_WITHIN = 2.0
"""Seconds for the producer's goodbye; a Kafka that is away would never answer it."""

STOPPING = (OtherIncarnation, PositionLost, TopicMismatch, UndecodableRecord)
"""What an embedder can't go on with until somebody has mended it."""
LOOK_EVERY = 1.0
"""Seconds between two looks whether the topics still are the same."""
CLAIM_AGAIN_AFTER = 30.0
"""Seconds after which an embedder that has stopped tries again."""
END_PATIENCE = 2.0
"""Seconds after which a source that ends before a tail's offset is looked at again, before that is believed."""
ANSWER_WITHIN = 3.0
"""Seconds that Kafka has to say which topics there are. Then it is asked with a new client."""

log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Embed until SIGTERM or SIGINT."""
    cache = vector_cache(settings, MINILM)
    embedder = Embedder(settings, MINILM, cache)
    serve_status(settings.host, settings.metrics_port, embedder.registry, embedder.readiness)
    uvloop.run(embedder.run())
    if cache is not None:
        cache.close()
    if embedder.loading:
        leave()


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
        self._incarnations = Incarnations(Topics(kafka, within=ANSWER_WITHIN), (DOCUMENTS, self._topic))
        self._stopped: str | None = None
        self._inbox = Inbox(DOCUMENTS, size=INBOX_BYTES)
        self._producer = Producer(kafka, self._topic)
        self._pipeline = Pipeline(self._inbox, self._producer, metrics=Metrics(self.registry), confirm=self.confirm)
        self._app = create_app(f"nenrin-embedder-{encoder.name}", kafka, [self._inbox], self.claim, self._pipeline.halt)
        self._loading: Future[TextEncoder] | None = None

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Embed until a signal says stop, or `stop` where it is given."""
        await self._producer.start()
        await run_app(self._app, self._work, self._watch, stop=stop)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_WITHIN):
                await self._producer.stop()

    def readiness(self) -> Readiness:
        """Ready is who has claimed its partitions, however many they are; events may wait while the model loads."""
        return Readiness(
            {"partitions": "ok" if self._app.settled else "not claimed: the consumer group is dividing them"},
            {
                "encoder": "loading" if self._loading is None or self.loading else "loaded",
                "embedding": "going on" if self._stopped is None else f"stopped: {self._stopped}",
            },
        )

    @property
    def loading(self) -> bool:
        """Whether a thread loads the model now."""
        return self._loading is not None and not self._loading.done()

    async def _work(self) -> None:
        self._loading = loaded(self._load)
        encoder = await asyncio.shield(asyncio.wrap_future(self._loading))
        # What is loaded stays: no collection needs to look at it again, and none takes long enough to be noticed.
        gc.collect()
        gc.freeze()
        log.info("encoder loaded", encoder=encoder.describe(), topic=self._topic)
        await self._pipeline.run(encoder, self._cache)

    def _load(self) -> TextEncoder:
        return TextEncoder(self._encoder, self._device)

    async def claim(self, assignment: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take over partitions: each goes on where the tail of its output partition ends.

        None of them where the topics aren't what the tails say: somebody has to mend that, and it is tried again.
        """
        await self._pipeline.halt()
        try:
            positions = await self._claim(assignment)
        except STOPPING as error:
            self._stop(error)
            return {}
        self._stopped = None
        return positions

    async def _claim(self, assignment: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        await self._incarnations.hold()
        source, output = await self._topics.describe(DOCUMENTS, self._topic)
        self._check(source, output)
        tails = await self._tails(assignment)
        for tail in tails.values():
            if tail is not None:
                check_incarnation(DOCUMENTS, tail.incarnation, source.incarnation)
        positions = await self._positions(source, tails)
        times = {place: tail.time for place, tail in tails.items() if tail is not None}
        self._pipeline.begin(Origin(source.incarnation, self._encoder.name), source.partitions, times)
        return positions

    async def confirm(self) -> None:
        """Return once it is known that source and output still are those that were claimed."""
        await self._incarnations.confirm()

    def _stop(self, error: NenrinError) -> None:
        if self._stopped != str(error):
            log.error("embedding stopped", error=str(error))
        self._stopped = str(error)

    async def _watch(self) -> None:
        """Raise what has changed about the topics: the next life begins with them as they are then."""
        since_stop = 0.0
        while True:
            await asyncio.sleep(LOOK_EVERY)
            with suppress(LogAway):
                await self._incarnations.compare()
            since_stop = 0.0 if self._stopped is None else since_stop + LOOK_EVERY
            if since_stop >= CLAIM_AGAIN_AFTER:
                since_stop = 0.0
                await begin_again(self._app)

    def _check(self, source: Described, output: Described) -> None:
        for topic in (source, output):
            if topic.partitions != self._partitions:
                raise mismatch(topic.name, topic.partitions, self._partitions)

    async def _tails(self, assignment: frozenset[TopicPartition]) -> dict[TopicPartition, Source | None]:
        output = {TopicPartition(self._topic, place.partition): place for place in assignment}
        tails = await read_tails(self._kafka, output)
        return {
            output[place]: None if record is None else embedded.decode(record).source for place, record in tails.items()
        }

    async def _positions(
        self, source: Described, tails: Mapping[TopicPartition, Source | None]
    ) -> dict[TopicPartition, int]:
        """Behind each tail, or at the beginning of the source. Raises `PositionLost` where the source isn't there."""
        try:
            return positions(tails, await self._topics.bounds([source]))
        except LogCut:
            await asyncio.sleep(END_PATIENCE)
            return positions(tails, await self._topics.bounds([source]))


def positions(
    tails: Mapping[TopicPartition, Source | None], bounds: Mapping[tuple[str, int], Bounds]
) -> dict[TopicPartition, int]:
    """Where to go on behind these tails of the output. Raises `PositionLost`, `LogCut`."""
    found = {place: bounds[place].begin if tail is None else tail.next for place, tail in tails.items()}
    for place, position in found.items():
        if position < bounds[place].begin:
            raise PositionLost(
                f"{place} was embedded up to offset {position}, but it begins at {bounds[place].begin}: what lies "
                f"between is gone, see that its retention.ms is -1; `{EMBED_AGAIN}` begins anew with what is left"
            )
        check_position(place, position, bounds[place])
    return found

"""The embedder's process: where it goes on, and how it is put together."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

import structlog
import uvloop

from encoders.encoder import TextEncoder
from eventlog.app import create_app, run_app, until_stopped
from eventlog.delivery import TopicPartition
from eventlog.ending import leave
from eventlog.inbox import Inbox
from eventlog.incarnations import Incarnations
from eventlog.planning import Bounds, Described, check_incarnation, check_position, mismatch
from eventlog.tail import read_tails
from eventlog.topics import Topics
from eventlog.watching import CLAIM_AGAIN_AFTER, LOOK_EVERY, watch
from schemas.derived import decode
from schemas.embedded import Source
from schemas.encoders import MINILM
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
from services.embedder import priority
from services.embedder.loading import Loading, vector_cache
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

STOPPING = (OtherIncarnation, PositionLost, TopicMismatch, UndecodableRecord)
"""What an embedder can't go on with until somebody has mended it."""
END_PATIENCE = 2.0
"""Seconds after which a source that ends before a tail's offset is looked at again, before that is believed."""
ANSWER_WITHIN = 3.0
"""Seconds that Kafka has to say which topics there are. Then it is asked with a new client."""
NEAR = 32
"""Source records that an embedder may lack when it has caught up: some are always on their way."""
NEAR_LOOKS = 10
"""So many looks ago all that it lacks wasn't there yet: then it has caught up too, however much is written."""

log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Embed until SIGTERM or SIGINT."""
    embedder = Embedder(settings, remembers=True)
    serve_status(settings.host, settings.metrics_port, embedder.registry, embedder.readiness)
    uvloop.run(embedder.run())
    if embedder.loading:
        leave()


class Embedder:
    """One process that writes the derived topic of one encoder.

    It keeps no position: what its output partition ends with says where it goes on. If it has to backfill, it gives way
    to all others until it has caught up with its source for the first time.
    """

    def __init__(self, settings: Settings, *, remembers: bool = False) -> None:
        """`remembers`: vectors are kept in the state folder, and found there."""
        self.registry = Registry()
        self._settings = settings
        self._remembers = remembers
        self._kafka = kafka = settings.kafka_settings()
        self._partitions = settings.partitions
        self._encoder = settings.encoder or MINILM.name
        self._loading = Loading(settings, self._encoder)
        self._behind = settings.backfill
        self._topic = derived(self._encoder)
        self._topics = Topics(kafka)
        self._incarnations = Incarnations(Topics(kafka, within=ANSWER_WITHIN), (DOCUMENTS, self._topic))
        self._stopped: str | None = None
        self._claim_again_at = 0.0
        self._inbox = Inbox(DOCUMENTS, size=INBOX_BYTES)
        self._producer = Producer(kafka, self._topic)
        self._pipeline = Pipeline(self._inbox, self._producer, metrics=Metrics(self.registry), confirm=self.confirm)
        group = f"nenrin-embedder-{self._encoder}"
        self._app = create_app(group, kafka, [self._inbox], self.claim, self._pipeline.halt)

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Embed until a signal says stop, or `stop` where it is given."""
        await self._producer.start()
        await until_stopped(lambda stop: run_app(self._app, self._work, self._watch, stop=stop), stop)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_WITHIN):
                await self._producer.stop()

    def readiness(self) -> Readiness:
        """Ready is who has claimed its partitions, however many they are; events may wait while the model loads."""
        return Readiness(
            {"partitions": "ok" if self._app.settled else "not claimed: the consumer group is dividing them"},
            {
                "encoder": self._loading.note,
                "embedding": "going on" if self._stopped is None else f"stopped: {self._stopped}",
                "priority": "behind all others, until it has caught up" if self._behind else "like others",
            },
        )

    @property
    def loading(self) -> bool:
        """Whether a thread loads the model now."""
        return self._loading.busy

    async def _work(self) -> None:
        await self._pipeline.go_on(behind=self._behind)
        encoder = await self._loading.load(partial(priority.workers, name="encode", behind=self._behind))
        log.info("encoder loaded", encoder=encoder.describe(), topic=self._topic)
        if self._behind:
            priority.step_back()
        cache = vector_cache(self._settings, encoder.encoder) if self._remembers else None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pipeline.run(encoder, cache))
                if self._behind:
                    tasks.create_task(self._catch_up(encoder))
        finally:
            if cache is not None:
                cache.close()

    async def _catch_up(self, encoder: TextEncoder) -> None:
        """Come forward once nearly everything in the source is embedded."""
        written: deque[int] = deque(maxlen=NEAR_LOOKS)
        while not await self._is_near(written):  # noqa: ASYNC110  # the log's end sets no event
            await asyncio.sleep(LOOK_EVERY)
        priority.come_forward()
        await self._pipeline.go_on(behind=False)
        encoder.go_on_in(partial(priority.workers, name="encode", behind=False))
        self._behind = False
        log.info("caught up: taking turns like others from now on", topic=self._topic)

    async def _is_near(self, written: deque[int]) -> bool:
        """Whether few records lie before this process's partitions, or only new ones; False while nobody can tell.

        `written` are the sums of the ends, as they were at the last looks.
        """
        try:
            bounds = await self._topics.bounds(await self._topics.identify(DOCUMENTS))
        except (LogAway, TopicMismatch):
            return False
        positions = self._inbox.positions
        lacking = sum(max(0, bounds[place].end - position) for place, position in positions.items()) + len(self._inbox)
        written.append(sum(bounds[place].end for place in positions))
        return bool(positions) and lacking <= max(NEAR, written[-1] - written[0])

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
        self._pipeline.begin(Origin(source.incarnation, self._encoder), source.partitions, times)
        return positions

    async def confirm(self) -> None:
        """Return once it is known that source and output still are those that were claimed."""
        await self._incarnations.confirm()

    def _stop(self, error: NenrinError) -> None:
        if self._stopped != str(error):
            log.error("embedding stopped", error=str(error))
        self._stopped = str(error)
        self._claim_again_at = time.monotonic() + CLAIM_AGAIN_AFTER

    async def _watch(self) -> None:
        await watch(self._app, self._incarnations, lambda: self._due)

    @property
    def _due(self) -> bool:
        """Whether what stopped it may have been mended."""
        return self._stopped is not None and time.monotonic() >= self._claim_again_at

    def _check(self, source: Described, output: Described) -> None:
        for topic in (source, output):
            if topic.partitions != self._partitions:
                raise mismatch(topic.name, topic.partitions, self._partitions)

    async def _tails(self, assignment: frozenset[TopicPartition]) -> dict[TopicPartition, Source | None]:
        output = {TopicPartition(self._topic, place.partition): place for place in assignment}
        tails = await read_tails(self._kafka, output)
        return {output[place]: None if record is None else decode(record).source for place, record in tails.items()}

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

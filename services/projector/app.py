"""The process: which projections it writes, and how it claims them."""

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog
import uvloop

from eventlog.app import begin_again, create_app, run_app
from eventlog.delivery import TopicPartition
from eventlog.inbox import Inbox
from projections.control.install import administration
from projections.documents import Documents
from projections.generations import lifecycle
from projections.generations.lifecycle import Live
from projections.passages import Passages
from projections.writer import Writer
from schemas.errors import TopicMismatch
from schemas.topics import DOCUMENTS, derived
from services.background import serve_status
from services.projector.log import Log
from services.projector.metrics import Metrics, ProjectionMetrics
from services.projector.projection import Projection, from_derived, from_source
from services.projector.watching import watch
from services.settings import Settings
from web.readiness import Readiness
from web.registry import Registry

LOOK_EVERY = 1.0
"""Seconds between two looks whether a projection is due for another claim."""

FROZEN_FOR = 3.0
"""Seconds for such a look after which the process has stood still: its partitions may be another's by now, and a claim
would take them back before the group could say so."""

log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Project until SIGTERM."""
    uvloop.run(project(settings))


async def project(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """Project until a signal says stop, or `stop` where it is given."""
    registry = Registry()
    live = await _live(settings)
    source_log = Log(settings.kafka_settings(), derived(live[1].encoder or ""))
    projections = _projections(settings, Metrics(registry), live, source_log)

    async def claim(assigned: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        await source_log.hold()
        try:
            source = source_log.source()
        except TopicMismatch as error:
            for projection in projections:
                projection.stop(error)
            return {}
        claimed = [await projection.claim(assigned, source) for projection in projections]
        return {place: position for positions in claimed for place, position in positions.items()}

    async def release() -> None:
        await asyncio.gather(*(projection.release() for projection in projections))

    inboxes = [projection.inbox for projection in projections]
    app = create_app("nenrin-projector", settings.kafka_settings(), inboxes, claim, release)
    serve_status(settings.host, settings.metrics_port, registry, lambda: readiness(app.settled, projections))

    async def try_again() -> None:
        while True:
            looked_at = time.monotonic()
            await asyncio.sleep(LOOK_EVERY)
            was_frozen = time.monotonic() - looked_at > FROZEN_FOR
            if not was_frozen and any(projection.due for projection in projections):
                await begin_again(app)

    async def watching() -> None:
        await watch(source_log, settings.dsn, {each.projection: each.generation for each in live}, projections)

    await run_app(app, *(projection.work for projection in projections), try_again, watching, stop=stop)


def readiness(settled: bool, projections: Sequence[Projection]) -> Readiness:
    """Ready is who has claimed its partitions, however many they are; of two projections one may have stopped."""
    return Readiness(
        {"partitions": "ok" if settled else "not claimed: the consumer group is dividing them"},
        {each.name: each.standing for each in projections},
    )


async def _live(settings: Settings) -> tuple[Live, Live]:
    """The live generations of both projections."""
    async with administration(settings.dsn) as connection:
        documents, passages = [await lifecycle.live(connection, name) for name in (Documents.name, Passages.name)]
    log.info("projecting", documents=documents.generation, passages=passages.generation, encoder=passages.encoder)
    return documents, passages


def _projections(
    settings: Settings, metrics: Metrics, live: tuple[Live, Live], source_log: Log
) -> Sequence[Projection]:
    """The live generation of each projection, with the topic that it reads."""
    models = Documents(), Passages(settings.text_language)
    documents, passages = live
    measured = [ProjectionMetrics(metrics, model.name) for model in models]
    return (
        Projection(
            Inbox(DOCUMENTS),
            Writer(models[0], documents.generation, settings.dsn, measured[0].committed, settings.park_limit),
            from_source,
            measured[0],
            source_log,
        ),
        Projection(
            Inbox(derived(passages.encoder or "")),
            Writer(models[1], passages.generation, settings.dsn, measured[1].committed, settings.park_limit),
            from_derived,
            measured[1],
            source_log,
        ),
    )

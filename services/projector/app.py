"""The process: which projections it writes, and how it claims them."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog
import uvloop

from eventlog.app import create_app, run_app
from eventlog.delivery import TopicPartition
from eventlog.inbox import Inbox
from eventlog.topics import Topics
from projections.control.install import administration
from projections.documents import Documents
from projections.generations import lifecycle
from projections.passages import Passages
from projections.writer import Writer
from schemas.topics import DOCUMENTS, derived
from services.background import serve_status
from services.projector.metrics import Metrics, ProjectionMetrics
from services.projector.projection import Projection, Source, from_derived, from_source
from services.settings import Settings
from web.readiness import Readiness
from web.registry import Registry

log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Project until SIGTERM."""
    uvloop.run(project(settings))


async def project(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """Project until a signal says stop, or `stop` where it is given."""
    registry = Registry()
    topics = Topics(settings.kafka_settings())
    projections = await _projections(settings, Metrics(registry))

    async def claim(assigned: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        (described,) = await topics.describe(DOCUMENTS)
        source = Source(described.incarnation, described.partitions)
        claimed = [await projection.claim(assigned, source) for projection in projections]
        return {place: position for positions in claimed for place, position in positions.items()}

    async def release() -> None:
        await asyncio.gather(*(projection.release() for projection in projections))

    inboxes = [projection.inbox for projection in projections]
    app = create_app("nenrin-projector", settings.kafka_settings(), inboxes, claim, release)
    serve_status(settings.host, settings.metrics_port, registry, lambda: readiness(app.settled, projections))
    await run_app(app, *(projection.work for projection in projections), stop=stop)


def readiness(settled: bool, projections: Sequence[Projection]) -> Readiness:
    """Ready is who has claimed its partitions, however many they are; of two projections one may have stopped."""
    return Readiness(
        {"partitions": "ok" if settled else "not claimed: the consumer group is dividing them"},
        {each.name: "going on" if each.stopped is None else f"stopped: {each.stopped}" for each in projections},
    )


async def _projections(settings: Settings, metrics: Metrics) -> Sequence[Projection]:
    """The live generation of each projection, with the topic that it reads."""
    models = Documents(), Passages(settings.text_language)
    async with administration(settings.dsn) as connection:
        documents, passages = [await lifecycle.live(connection, model.name) for model in models]
    log.info("projecting", documents=documents.generation, passages=passages.generation, encoder=passages.encoder)
    measured = [ProjectionMetrics(metrics, model.name) for model in models]
    return (
        Projection(
            Inbox(DOCUMENTS),
            Writer(models[0], documents.generation, settings.dsn, measured[0].committed),
            from_source,
            measured[0],
        ),
        Projection(
            Inbox(derived(passages.encoder or "")),
            Writer(models[1], passages.generation, settings.dsn, measured[1].committed),
            from_derived,
            measured[1],
        ),
    )

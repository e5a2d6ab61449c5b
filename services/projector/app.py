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
from services.projector.projection import Projection, Source, from_derived, from_source
from services.settings import Settings

log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Project until SIGTERM."""
    uvloop.run(_run(settings))


async def _run(settings: Settings) -> None:
    topics = Topics(settings.kafka_settings())
    projections = await _projections(settings)

    async def claim(assigned: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        (described,) = await topics.describe(DOCUMENTS)
        source = Source(described.incarnation, described.partitions)
        claimed = [await projection.claim(assigned, source) for projection in projections]
        return {place: position for positions in claimed for place, position in positions.items()}

    async def release() -> None:
        await asyncio.gather(*(projection.release() for projection in projections))

    inboxes = [projection.inbox for projection in projections]
    app = create_app("nenrin-projector", settings.kafka_settings(), inboxes, claim, release)
    await run_app(app, *(projection.work for projection in projections))


async def _projections(settings: Settings) -> Sequence[Projection]:
    """The live generation of each projection, with the topic that it reads."""
    models = Documents(), Passages(settings.text_language)
    async with administration(settings.dsn) as connection:
        documents, passages = [await lifecycle.live(connection, model.name) for model in models]
    log.info("projecting", documents=documents.generation, passages=passages.generation, encoder=passages.encoder)
    return (
        Projection(Inbox(DOCUMENTS), Writer(models[0], documents.generation, settings.dsn), from_source),
        Projection(
            Inbox(derived(passages.encoder or "")), Writer(models[1], passages.generation, settings.dsn), from_derived
        ),
    )

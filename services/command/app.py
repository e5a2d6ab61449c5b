"""The command service's process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial

from litestar import Litestar
from litestar.types import ASGIApp

from eventlog.connection import KafkaSettings
from eventlog.ending import exit_on_error
from projections.reading import Reader
from services import tracing
from services.command.collections import collection_handlers
from services.command.documenting import VOCABULARY
from services.command.handlers import handlers
from services.command.listing import Listing
from services.command.publisher import DEADLINE, Publisher
from services.disk import shortage
from services.settings import Settings
from web.application import application
from web.readiness import Readiness
from web.registry import Registry
from web.serving import serve
from web.tracing import traced

PORT = 8080
SOURCE = "/nenrin/command"


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    app = command_application(
        settings.kafka_settings(),
        settings.reader_dsn,
        advice=partial(shortage, settings.kafka_data),
        # a producer needs no such setting; where it is made, it is meant
        partitions=settings.partitions if "partitions" in settings.model_fields_set else None,
    )
    serve(app, settings.host, settings.port or PORT, grace=DEADLINE)


def command_application(
    kafka: KafkaSettings,
    reader_dsn: str,
    source: str = SOURCE,
    advice: Callable[[], str] = str,
    partitions: int | None = None,
) -> ASGIApp:
    """The application, writing to this Kafka in the name of `source`, where the topic has so many `partitions`.

    `advice` says why Kafka may be away, where somebody knows.
    It asks Postgres only what a collection holds that is to be removed; everything else goes on without it.
    """
    registry = Registry()
    tracer = tracing.tracer()
    publisher = Publisher(kafka, source, registry, tracer, advice)
    publisher.partitions = partitions
    reader = Reader(reader_dsn)
    listing = Listing(reader)

    async def readiness() -> Readiness:
        return Readiness({"kafka": publisher.state}, {"postgres": await listing.state()})

    @contextlib.asynccontextmanager
    async def publishing(_: Litestar) -> AsyncIterator[None]:
        keeping = asyncio.create_task(_keep(publisher))
        async with reader.reading():
            yield
        keeping.cancel()
        await publisher.aclose()

    app = application(
        VOCABULARY,
        [*handlers(publisher), *collection_handlers(publisher, listing)],
        readiness=readiness,
        registry=registry,
        lifespan=[publishing],
    )
    return traced(app, tracer)


async def _keep(publisher: Publisher) -> None:
    with exit_on_error("keeping a producer"):
        await publisher.run()

"""The command service's process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from litestar import Litestar
from litestar.types import ASGIApp
from prometheus_client import CollectorRegistry

from eventlog.connection import KafkaSettings
from eventlog.ending import exit_on_error
from services.command.handlers import handlers
from services.command.publisher import DEADLINE, Publisher
from services.settings import Settings
from web.application import application
from web.serving import serve
from web.status import Readiness

PORT = 8080
SOURCE = "/nenrin/command"


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    app = command_application(settings.kafka_settings())
    serve(app, settings.host, settings.port or PORT, grace=DEADLINE)


def command_application(kafka: KafkaSettings, source: str = SOURCE) -> ASGIApp:
    """The application, writing to this Kafka in the name of `source`."""
    registry = CollectorRegistry()
    publisher = Publisher(kafka, source, registry)

    async def readiness() -> Readiness:
        return Readiness({"kafka": publisher.state})

    @contextlib.asynccontextmanager
    async def publishing(_: Litestar) -> AsyncIterator[None]:
        keeping = asyncio.create_task(_keep(publisher))
        yield
        keeping.cancel()
        await publisher.aclose()

    return application(
        "Nenrin command service",
        handlers(publisher),
        readiness=readiness,
        registry=registry,
        lifespan=[publishing],
    )


async def _keep(publisher: Publisher) -> None:
    with exit_on_error("keeping a producer"):
        await publisher.run()

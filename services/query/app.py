"""The query service's process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
from litestar import Litestar
from litestar.types import ASGIApp

from eventlog.ending import exit_on_error, leave
from projections.reading import Reader
from schemas.encoders import MINILM
from schemas.errors import NenrinError
from services import tracing
from services.disk import shortage
from services.query import documents, parked, projections, search
from services.query.answering import Answers
from services.query.documenting import VOCABULARY
from services.query.encoder import QueryEncoder
from services.query.metrics import Standings
from services.query.waiting import Waiters, listen
from services.settings import Settings
from web.application import application
from web.readiness import Readiness
from web.registry import Registry
from web.serving import serve
from web.tracing import traced

PORT = 8081
GRACE = 1.0


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    encoder = QueryEncoder(MINILM, settings.device)
    app = query_application(settings.reader_dsn, encoder, partial(shortage, settings.postgres_data))
    serve(app, settings.host, settings.port or PORT, grace=GRACE)
    if encoder.loading:
        leave()


def query_application(dsn: str, encoder: QueryEncoder, advice: Callable[[], str] = str) -> ASGIApp:
    """The application, reading from this Postgres, and encoding questions with `encoder`.

    `advice` says why Postgres may be away, where somebody knows.
    """
    registry = Registry()
    reader = Reader(dsn, advice)
    waiters = Waiters(reader, registry)
    answers = Answers(reader, waiters)
    standings = Standings(reader)
    registry.register(standings)
    registry.register(encoder.seconds)
    registry.fetching.append(standings.fetch)

    @asynccontextmanager
    async def serving(_: Litestar) -> AsyncIterator[None]:
        encoder.start()
        async with reader.reading():
            tasks = [asyncio.create_task(_hear(dsn, waiters)), asyncio.create_task(_poll(waiters))]
            yield
            for task in tasks:
                task.cancel()
        encoder.close()

    async def readiness() -> Readiness:
        return Readiness({"postgres": await _postgres(reader)}, {"dense search": _dense(encoder)})

    app = application(
        VOCABULARY,
        [
            *documents.handlers(answers),
            *search.handlers(answers, encoder),
            *projections.handlers(answers, reader),
            *parked.handlers(answers, reader),
        ],
        readiness=readiness,
        registry=registry,
        lifespan=[serving],
    )
    return traced(app, tracing.tracer())


async def _hear(dsn: str, waiters: Waiters) -> None:
    with exit_on_error("hearing notifications"):
        await listen(dsn, waiters.moved)


async def _poll(waiters: Waiters) -> None:
    with exit_on_error("polling for waiters"):
        await waiters.poll()


async def _postgres(reader: Reader) -> str:
    try:
        known = await reader.generations(fresh=True)
    except (NenrinError, asyncpg.PostgresError) as error:
        return str(error)
    return "ok" if known else "no projection is installed: run `nenrin init`"


def _dense(encoder: QueryEncoder) -> str:
    if encoder.failure is not None:
        return f"the encoder could not be loaded: {encoder.failure}"
    return "ready" if encoder.ready else "the encoder is loading"

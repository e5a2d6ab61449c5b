"""The query service's process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import asyncpg
from litestar import Litestar
from litestar.types import ASGIApp

from eventlog.ending import exit_on_error, leave
from projections.control import revision
from projections.database import connect
from projections.reading import Reader
from schemas.errors import DatabaseAway, NenrinError
from services import tracing
from services.disk import shortage
from services.query import documents, parked, projections, search
from services.query.answering import Answers
from services.query.documenting import VOCABULARY
from services.query.encoders import READY, QueryEncoders, on
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
    """Serve until SIGTERM or SIGINT. Raises `NewerSchema`."""
    asyncio.run(_refuse_newer(settings.reader_dsn))
    encoders = QueryEncoders(on(settings.device))
    app = query_application(settings.reader_dsn, encoders, partial(shortage, settings.postgres_data))
    serve(app, settings.host, settings.port or PORT, grace=GRACE)
    if encoders.loading:
        leave()


async def _refuse_newer(dsn: str) -> None:
    """Look at Postgres once before anybody is served; where it is away, each new connection looks again."""
    with suppress(DatabaseAway):
        (await connect(dsn, application="nenrin query begins")).terminate()


def query_application(dsn: str, encoders: QueryEncoders, advice: Callable[[], str] = str) -> ASGIApp:
    """The application, reading from this Postgres, and encoding questions with `encoders`.

    `advice` says why Postgres may be away, where somebody knows.
    """
    registry = Registry()
    reader = Reader(dsn, advice)
    waiters = Waiters(reader, registry)
    answers = Answers(reader, waiters)
    standings = Standings(reader)
    registry.register(standings)
    registry.register(encoders)
    registry.register(encoders.seconds)
    registry.fetching.append(standings.fetch)

    @asynccontextmanager
    async def serving(_: Litestar) -> AsyncIterator[None]:
        encoders.start()
        async with reader.reading():
            tasks = [
                asyncio.create_task(_hear(dsn, waiters)),
                asyncio.create_task(_poll(waiters)),
                asyncio.create_task(_follow(encoders, reader)),
            ]
            yield
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        encoders.close()

    async def readiness() -> Readiness:
        return Readiness({"postgres": await _postgres(reader)}, _notes(encoders))

    app = application(
        VOCABULARY,
        [
            *documents.handlers(answers),
            *search.handlers(answers, encoders),
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


async def _follow(encoders: QueryEncoders, reader: Reader) -> None:
    with exit_on_error("keeping the encoders of questions"):
        await encoders.follow(reader)


async def _postgres(reader: Reader) -> str:
    try:
        known = await reader.generations(fresh=True)
        revision.check((await reader.fetch(revision.CURRENT))[0][0])
    except (NenrinError, asyncpg.PostgresError) as error:
        return str(error)
    return "ok" if known else "no projection is installed: run `nenrin init`"


def _notes(encoders: QueryEncoders) -> dict[str, str]:
    """What dense search waits for, and how each encoder is."""
    states = encoders.states()
    missing = [f"{name}: {state}" for name, state in states.items() if state != READY]
    return {
        "dense search": "; ".join(missing) or READY,
        **{f"encoder {name}": state for name, state in states.items()},
    }

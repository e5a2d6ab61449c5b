"""Noticing that topics, live generations or claims are others than they were when this process claimed them."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

import asyncpg

from projections.database import connect, translated
from schemas.errors import DatabaseAway, GenerationMissing, LogAway, NenrinError
from services.projector.log import Log
from services.projector.projection import Projection

LOOK_EVERY = 1.0
"""Seconds between two looks."""


class Replaced(NenrinError):
    """Another generation is live now."""


async def watch(source_log: Log, dsn: str, generations: Mapping[str, int], projections: Sequence[Projection]) -> None:
    """Raise what has changed, as soon as anything has: the process's next life begins with what there is then.

    Raises `OtherIncarnation`, `TopicMismatch`, `Replaced`, `Fenced`. Kafka and Postgres may be away meanwhile.
    """
    while True:
        with suppress(DatabaseAway, GenerationMissing):  # nothing is written then
            connection = await connect(dsn, application="nenrin projector watching")
            try:
                await _watch(source_log, connection, generations, projections)
            finally:
                connection.terminate()
        await asyncio.sleep(LOOK_EVERY)


async def _watch(
    source_log: Log, connection: asyncpg.Connection, generations: Mapping[str, int], projections: Sequence[Projection]
) -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY)
        with suppress(LogAway):
            await source_log.compare()
        with translated():
            live = dict(await connection.fetch("SELECT name, live FROM nenrin.projections"))
        for name, generation in generations.items():
            if live.get(name) != generation:
                raise Replaced(
                    f"generation {live.get(name)} of {name} is live now, not {generation}: beginning with it"
                )
        for projection in projections:
            await projection.confirm(connection)

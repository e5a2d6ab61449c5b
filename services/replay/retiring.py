"""Retiring: a generation that nobody needs any more goes, without a reader noticing."""

import os
import socket

import asyncpg
import msgspec

from projections import models
from projections.database import translated
from projections.generations import lifecycle
from projections.generations.holding import hold, holding
from projections.generations.tables import schema_of
from schemas.errors import GenerationMissing
from services.replay.gates import NoCandidate
from services.settings import Settings

_STANDS = """
SELECT p.live, p.previous, EXISTS (
    SELECT FROM nenrin.generations WHERE projection = $1 AND generation = $2
) OR to_regnamespace($3) IS NOT NULL AS stands
FROM nenrin.projections p WHERE p.name = $1
"""


class Retired(msgspec.Struct, frozen=True):
    """What was dropped. `was_previous`: from now on there is no way back."""

    projection: str
    generation: int
    was_previous: bool


async def retire(settings: Settings, projection: str, generation: int, by: str) -> Retired:
    """Drop a generation that is not live: first nobody is sent there any more, then its tables go.

    One that was taken off the list before, and whose tables are still there, is dropped too. Raises `NoCandidate` for
    the live one, `GenerationMissing`, `Held`, `NotMoved` when statements still read it, `DatabaseAway`.
    """
    models.model(projection, settings.text_language)
    what = (
        f"retirement of {projection} generation {generation} by {by[:16]}, pid {os.getpid()} on {socket.gethostname()}"
    )
    async with holding(settings.dsn, what) as keeper:
        was_previous = await _may_go(keeper, projection, generation)
        await hold(keeper, projection, generation)
        await lifecycle.forget(keeper, projection, generation)
        await lifecycle.drop(keeper, projection, generation)
    return Retired(projection, generation, was_previous)


async def _may_go(connection: asyncpg.Connection, projection: str, generation: int) -> bool:
    """Whether it is the previous one; raises what is in the way."""
    with translated():
        found = await connection.fetchrow(_STANDS, projection, generation, schema_of(projection, generation))
    if found is None or not found["stands"]:
        raise GenerationMissing(f"{projection} has no generation {generation}: `nenrin projections list` shows them")
    if found["live"] == generation:
        raise NoCandidate(f"generation {generation} of {projection} is live: promote another one, or roll back, first")
    return bool(found["previous"] == generation)

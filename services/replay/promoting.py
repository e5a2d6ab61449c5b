"""Sending readers to another generation: forward through the gates, or back to the one before, at once."""

import os
import socket

import asyncpg
import msgspec

from projections.database import connect, translated
from projections.generations import candidates, lifecycle, moments
from projections.generations.holding import hold, holding, let_go
from projections.generations.lifecycle import Decision
from projections.generations.tables import schema_of
from services.replay import following
from services.replay.gates import NOTHING_MORE, Asked, NoCandidate, gate
from services.replay.progress import Phase, Progress, Silent
from services.replay.report import Gates, Report
from services.replay.telling import Timed
from services.settings import Settings

_CANDIDATE = """
SELECT max(g.generation) FROM nenrin.generations g JOIN nenrin.projections p ON p.name = g.projection
WHERE g.projection = $1 AND g.loaded_at IS NOT NULL AND g.ended_at IS NULL AND g.until IS NULL
    AND g.generation <> p.live AND g.generation IS DISTINCT FROM p.previous
"""


class Order(msgspec.Struct, frozen=True):
    """What a promotion is asked for. `generation` None: the newest that was built and is not live yet.

    `forced_because`: why failed gates are to be overruled; None: they are not.
    """

    projection: str
    by: str
    generation: int | None = None
    forced_because: str | None = None
    asked: Asked = NOTHING_MORE


async def promote(settings: Settings, order: Order, progress: Progress | None = None) -> Report:
    """Hold a generation against the live one, and make it live, if nothing stands in the way.

    The report says what the gates found, and whether it was promoted. Raises `NoCandidate`, `NotMoved`, `Held`, what
    `gates.gate` and `following.caught_up` raise.
    """
    told = Timed(progress or Silent())
    what = f"promotion of {order.projection} by {order.by[:16]}, pid {os.getpid()} on {socket.gethostname()}"
    async with holding(settings.dsn, what) as keeper:
        number = order.generation or await _newest(keeper, order.projection)
        await hold(keeper, order.projection, number)
        found = await gate(keeper, settings, order.projection, number, asked=order.asked, progress=told)
        await let_go(keeper, order.projection, number)
        forced = None if found.passed else order.forced_because
        if found.passed or forced is not None:
            await _move(keeper, order, found, forced, told)
        return await _report(keeper, found, forced, told)


async def _newest(connection: asyncpg.Connection, projection: str) -> int:
    with translated():
        number: int | None = await connection.fetchval(_CANDIDATE, projection)
    if number is None:
        raise NoCandidate(
            f"{projection} has no generation that waits to become live: `nenrin projections rebuild {projection}` "
            "makes one, and --generation names one of those that there are"
        )
    return number


async def _move(keeper: asyncpg.Connection, order: Order, found: Gates, forced: str | None, progress: Progress) -> None:
    """Promote it once it has caught up again: while it was held it stood still."""
    if not await following.caught_up(keeper, found.projection, found.candidate, found.live, progress):
        progress.say("no projector has taken it on: it is promoted as it is, and follows the log once one runs")
    progress.show(Phase.PROMOTING)
    decision = Decision(order.by, forced, msgspec.json.encode(found).decode())
    await lifecycle.promote(keeper, found.projection, found.candidate, found.live, decision)


async def _report(keeper: asyncpg.Connection, found: Gates, forced: str | None, told: Timed) -> Report:
    content = await candidates.content(keeper, found.projection, found.candidate)
    return Report(
        found.candidate,
        found.projection,
        await candidates.encoder_of(keeper, found.projection, found.candidate),
        found.version,
        rows=content.documents + content.passages,
        seconds=told.seconds(),
        gates=found.gates,
        promoted=found.passed or forced is not None,
        forced_because=forced,
    )


class RolledBack(msgspec.Struct, frozen=True):
    """What is live now, and previous. `behind`: source offsets that the new one has not seen and the old one has."""

    projection: str
    live: int
    previous: int
    behind: int


async def rollback(settings: Settings, projection: str, by: str, reason: str | None) -> RolledBack:
    """Send readers back to the previous generation, which has followed the log all the while; doing it again undoes it.

    Nobody is asked and nothing is held: it takes one statement, also while a rebuild is under way. Raises `NotMoved`.
    """
    connection = await connect(settings.dsn, application=f"nenrin rollback of {projection}")
    try:
        moved = await lifecycle.rollback(connection, projection, Decision(by, reason))
        here, there = [
            await moments.standing(connection, schema_of(projection, number)) for number in (moved.live, moved.replaced)
        ]
    finally:
        connection.terminate()
    return RolledBack(projection, moved.live, moved.replaced, sum(here.behind(there).values()))

"""Rebuilding: a read model built anew from the log beside the live one, proven equal to it, and put in its place.

Where a rebuild stands is in the database alone: whatever ends one, the next call goes on from there.
"""

import asyncio
import os
import socket
from pathlib import Path

import asyncpg
import msgspec
from pydantic import SecretStr

from projections.control.install import install
from projections.database import connect
from projections.generations import candidates
from projections.generations.holding import holding
from schemas.errors import DatabaseAway, Held, LogAway
from services.replay import phases, planning
from services.replay.phases import Run
from services.replay.planning import Order, Plan
from services.replay.progress import Progress, Silent
from services.replay.report import Report
from services.replay.telling import Timed
from services.replay.times import Until
from services.settings import Settings

AWAY = (DatabaseAway, LogAway, Held)
"""What passes: servers that are away; and who held the database here before they were, which is us."""
PATIENCE = 60.0
"""Seconds of failures without a step in between, after which a rebuild gives up."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two tries; each pause is twice the one before."""


async def rebuild(  # noqa: PLR0913  (what an operator can say, each by its name)
    settings: Settings,
    name: str,
    *,
    by: str,
    encoder: str | None = None,
    until: Until | None = None,
    promote: bool = True,
    postgres: str | None = None,
    forced_because: str | None = None,
    queries: Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Build a projection anew from the log, hold it against the live one, and promote it.

    Goes on with what an earlier call of the same kind left. What a gate refuses is kept: the report says why.
    Raises `InvalidInput` and all that makes the log unfit, before anything is written; `Held` where somebody else
    replays; `DatabaseAway` and `LogAway` once waiting was in vain.
    """
    order = Order(name, by, encoder, until, promote, postgres, forced_because, queries)
    planning.check(order)
    there = settings if postgres is None else settings.model_copy(update={"postgres": SecretStr(postgres)})
    return await _Rebuild(settings, there, order, Timed(progress or Silent())).persevere()


class _Rebuild:
    """What one call does, in as many attempts as it takes. `there`: the settings that name the database to build in."""

    def __init__(self, settings: Settings, there: Settings, order: Order, told: Timed) -> None:
        self._settings = settings
        self._there = there
        self._order = order
        self._told = told
        self._built: Run | None = None

    async def persevere(self) -> Report:
        """Try again, from what stands in the database, while servers that were there are away."""
        pause, failing_since, steps = FIRST_PAUSE, 0.0, 0
        while True:
            try:
                return await self._attempt()
            except AWAY as error:
                now = asyncio.get_running_loop().time()
                if not self._told.steps:
                    raise  # nothing has begun
                if self._told.steps > steps:
                    pause, failing_since, steps = FIRST_PAUSE, now, self._told.steps
                if now - failing_since > PATIENCE:
                    raise
                self._told.say(f"{error}; trying again")
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _attempt(self) -> Report:
        order, told = self._order, self._told
        async with holding(self._there.dsn, _who(order)) as hold:
            plan = await _plan(self._settings, order, hold, told)
            live = await candidates.live_number(hold, order.projection)
            if self._built is not None and self._built.generation == live:
                # the promotion was the last that Postgres did before it was away
                return await phases.reported(msgspec.structs.replace(self._built, hold=hold))
            generation = await phases.begin(hold, self._there.dsn, plan, told)
            self._built = Run(self._there, order, plan, hold, told, generation, live)
            return await phases.build(self._built)


def _who(order: Order) -> str:
    """What a second one is told; Postgres keeps 63 characters of it."""
    return f"rebuild of {order.projection} by {order.by[:16]}, pid {os.getpid()} on {socket.gethostname()}"


async def _plan(settings: Settings, order: Order, hold: asyncpg.Connection, told: Timed) -> Plan:
    """What to build, once there is all that it takes. Another database gets the control schema, where it lacks it."""
    if order.postgres is None:
        await planning.check_installed(hold, order.projection)
        return await _possible(settings, order, hold, told)
    here = await _here(settings, told)
    there = hold if await candidates.is_installed(hold) else None
    try:
        plan = await _possible(settings, order, here or there, told)
        await install(order.postgres, ())
        await phases.register(plan, hold, here)
        return plan
    finally:
        if here is not None:
            here.terminate()


async def _possible(settings: Settings, order: Order, here: asyncpg.Connection | None, told: Timed) -> Plan:
    plan = await planning.plan(settings, order, here)
    if plan.note:
        told.say(plan.note)
    await phases.wait_for_cover(settings, plan, here if order.postgres is None else None, told)
    return plan


async def _here(settings: Settings, told: Timed) -> asyncpg.Connection | None:
    """Our own database, for the encoder that it names. The log alone will do."""
    try:
        here = await connect(settings.dsn, application="nenrin rebuild elsewhere")
    except DatabaseAway as error:
        told.say(f"our own database is away ({error}): this is built from the log alone")
        return None
    if await candidates.is_installed(here):
        return here
    here.terminate()
    return None

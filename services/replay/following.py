"""Seeing a candidate catch up with the live generation, once projectors feed it."""

import asyncio
from collections.abc import Mapping

import asyncpg
import msgspec

from projections.database import translated
from projections.generations.tables import schema_of
from schemas.errors import NenrinError
from services.replay.progress import Phase, Progress

LOOK_EVERY = 0.25
CLAIMED_WITHIN = 10.0
"""Seconds that projectors have to find the candidate. Where none runs nothing is lost: it follows when one does."""
STUCK_AFTER = 60.0
"""Seconds without a step of the candidate, while it is behind, after which it is not waited for any more."""

_POSITIONS = """
SELECT p.partition, p.next, a.pid IS NOT NULL AS fed FROM {schema}.positions p
LEFT JOIN pg_stat_activity a ON a.pid = p.backend_pid AND a.backend_start = p.backend_start
"""


class Behind(NenrinError):
    """A candidate is not kept up with the log, though a projector has claimed it."""


class Seen(msgspec.Struct, frozen=True):
    """Where a generation's partitions stand. `fed`: all of them are claimed by somebody who lives."""

    next: Mapping[int, int]
    fed: bool

    def behind(self, other: "Seen") -> int:
        """Source offsets that this one lacks of another."""
        return sum(max(0, at - self.next.get(partition, 0)) for partition, at in other.next.items())


async def seen(connection: asyncpg.Connection, projection: str, generation: int) -> Seen:
    """Where a generation stands. Raises `GenerationMissing`, `DatabaseAway`."""
    with translated():
        rows = await connection.fetch(_POSITIONS.format(schema=schema_of(projection, generation)))
    return Seen({row["partition"]: row["next"] for row in rows}, all(row["fed"] for row in rows))


async def caught_up(
    connection: asyncpg.Connection, projection: str, candidate: int, live: int, progress: Progress
) -> bool:
    """Wait until a candidate that projectors feed is where the live generation was at the look before.

    Returns False where none takes it on in time, though one feeds the live generation. Where nobody feeds that one
    either there is nothing to wait for. Raises `Behind`, `GenerationMissing`, `DatabaseAway`.
    """
    clock = asyncio.get_running_loop()
    target, began = await seen(connection, projection, live), await seen(connection, projection, candidate)
    last, moved_at = began, clock.time()
    while (now := await seen(connection, projection, candidate)).behind(target) or (target.fed and not now.fed):
        progress.show(Phase.FOLLOWING, *_way(began, now, target))
        if now != last:
            last, moved_at = now, clock.time()
        still = clock.time() - moved_at
        if not now.fed and (not target.fed or still > CLAIMED_WITHIN):
            return False
        if still > STUCK_AFTER:
            raise Behind(
                f"{schema_of(projection, candidate)} lacks {now.behind(target)} events of what the live generation "
                f"has, and took none in for {STUCK_AFTER:g} s: `nenrin doctor` says why; nothing was promoted"
            )
        await asyncio.sleep(LOOK_EVERY)
        target = await seen(connection, projection, live)
    return True


def _way(began: Seen, now: Seen, target: Seen) -> tuple[int, int]:
    """What is done, and what there is to do, in source offsets."""
    done = sum(now.next.values()) - sum(began.next.values())
    return done, done + now.behind(target)

"""Which generations projectors keep up with the log."""

import asyncpg
import msgspec

from projections.database import translated
from projections.generations.holding import HELD

_FOLLOWED = f"""
SELECT g.projection, g.generation, g.encoder, g.shape, g.generation = p.live AS live
FROM nenrin.generations g JOIN nenrin.projections p ON p.name = g.projection
WHERE g.loaded_at IS NOT NULL AND g.ended_at IS NULL AND (g.generation = p.live OR NOT {HELD})
ORDER BY g.projection, g.generation
"""


class Followed(msgspec.Struct, frozen=True):
    """A generation to keep up with the log: the live one, the previous one, one that is to become live."""

    projection: str
    generation: int
    encoder: str | None
    shape: int
    live: bool


async def followed(connection: asyncpg.Connection) -> list[Followed]:
    """Every generation that is loaded, has not ended, and that nobody holds. Raises `DatabaseAway`."""
    with translated():
        return [Followed(*row) for row in await connection.fetch(_FOLLOWED)]

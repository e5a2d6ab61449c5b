"""Which generations projectors keep up with the log."""

import asyncpg
import msgspec

from projections.database import translated
from projections.generations.holding import HELD

_FOLLOWED = f"""
SELECT g.projection, g.generation, g.encoder, g.shape, g.generation = p.live AS live,
    (extract(epoch FROM g.created_at) * 1000000)::bigint AS created
FROM nenrin.generations g JOIN nenrin.projections p ON p.name = g.projection
WHERE g.loaded_at IS NOT NULL AND g.ended_at IS NULL AND g.until IS NULL AND (g.generation = p.live OR NOT {HELD})
ORDER BY g.projection, g.generation
"""


class Followed(msgspec.Struct, frozen=True):
    """A generation to keep up with the log: the live one, the previous one, one that is to become live."""

    projection: str
    generation: int
    encoder: str | None
    shape: int
    live: bool
    created: int
    """When it was made, in microseconds since 1970: another database may have one of the same number."""


async def followed(connection: asyncpg.Connection) -> list[Followed]:
    """Every generation that is loaded, has not ended, nor ends in the past, and that nobody holds.

    Raises `DatabaseAway`.
    """
    with translated():
        return [Followed(*row) for row in await connection.fetch(_FOLLOWED)]

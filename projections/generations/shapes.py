"""A read model changes its tables or its fold by a new generation, never in place: which live ones are due for it.

A generation keeps the shape that it was made with. After an upgrade it goes on serving, and is followed as long as it
has the columns that are written, until one of the shape that the code has now is built from the log and promoted.
"""

from collections.abc import Iterable, Mapping

import asyncpg
import msgspec

from projections.database import translated
from projections.models import NAMES, model

SHAPES: Mapping[str, int] = {name: model(name, "simple").shape for name in NAMES}
"""The shape that this version of Nenrin makes, by projection."""

_MADE = """
SELECT g.projection, g.generation, g.shape, g.generation = p.live AS live,
    g.ended_at IS NULL AND g.until IS NULL AND g.generation IS DISTINCT FROM p.previous AS candidate
FROM nenrin.generations g JOIN nenrin.projections p ON p.name = g.projection ORDER BY g.projection, g.generation
"""


class Made(msgspec.Struct, frozen=True):
    """A generation and its shape. `candidate`: neither previous nor past, so that it may become the live one."""

    projection: str
    generation: int
    shape: int
    live: bool
    candidate: bool


class Outdated(msgspec.Struct, frozen=True):
    """A live generation of another shape than this version of Nenrin makes: `now`. `next` would be the one of that."""

    projection: str
    generation: int
    shape: int
    now: int
    next: int

    @property
    def is_older(self) -> bool:
        """Whether a rebuild is due. What a later version made is left as it is."""
        return self.shape < self.now

    def __str__(self) -> str:
        """What it is, and what becomes of it."""
        found = f"{self.projection} generation {self.generation} was made by"
        if self.is_older:
            return (
                f"{found} an older version (shape {self.shape}, now {self.now}): it serves until generation "
                f"{self.next} is built from the log"
            )
        return f"{found} a later version (shape {self.shape}, here {self.now}): it is left as it is"


def outdated(made: Iterable[Made], shapes: Mapping[str, int] = SHAPES) -> list[Outdated]:
    """The live generations that have another shape than the code's, by projection. Pure."""
    known = list(made)
    return [
        Outdated(each.projection, each.generation, each.shape, now, _next(each.projection, now, known))
        for each in known
        if each.live and each.shape != (now := shapes.get(each.projection, each.shape))
    ]


def _next(projection: str, shape: int, made: Iterable[Made]) -> int:
    """The number of the candidate that there is of a shape, for a rebuild goes on with it, or a new one."""
    mine = [each for each in made if each.projection == projection]
    begun = [each.generation for each in mine if each.candidate and not each.live and each.shape == shape]
    return max(begun, default=max(each.generation for each in mine) + 1)


async def look(connection: asyncpg.Connection) -> list[Made]:
    """All generations. Raises `GenerationMissing`, `DatabaseAway`."""
    with translated():
        return [Made(*row) for row in await connection.fetch(_MADE)]

"""Which generations there are, and which of them the pointers name: looked up once, and again when that has changed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import asyncpg
import msgspec

from projections.generations.tables import schema_of
from schemas.errors import GenerationMissing

# While its rows are loaded, a generation's own tables may be locked for minutes, and what asks for the expression of a
# default waits for that: of such a one the control schema alone is read.
_LOOK = """
SELECT p.name, p.live, g.generation, g.encoder, g.shape, extract(epoch FROM g.created_at)::float8 AS created_at,
    g.loaded_at IS NOT NULL AS loaded, g.ended_at IS NOT NULL OR g.until IS NOT NULL AS ended,
    (SELECT atttypmod FROM pg_attribute WHERE attrelid = passages AND attname = 'vector') AS dimensions,
    CASE WHEN g.loaded_at IS NOT NULL THEN (
        SELECT substring(pg_get_expr(d.adbin, d.adrelid) FROM '''(\\w+)''::regconfig')
        FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
        WHERE d.adrelid = passages AND a.attname = 'lexemes'
    ) END AS language
FROM nenrin.projections p JOIN nenrin.generations g ON g.projection = p.name,
    to_regclass(format('%I.passages', p.name || '_g' || g.generation)) AS passages
ORDER BY p.name, g.generation
"""


class Generation(msgspec.Struct, frozen=True):
    """What has to be known of a generation to ask it something. `language` is that of its text search.

    `shape` is the version of its tables (`ReadModel.shape`). `created_at`, in seconds since 1970, tells it from another
    one that had its number. It can be read once it is `loaded`; once it has `ended`, no projector feeds it.
    """

    projection: str
    number: int
    encoder: str | None = None
    dimensions: int | None = None
    language: str | None = None
    shape: int = 1
    created_at: float | None = None
    loaded: bool = True
    ended: bool = False

    @property
    def schema(self) -> str:
        """Its schema in Postgres."""
        return schema_of(self.projection, self.number)


class Known(msgspec.Struct, frozen=True):
    """What one look found, by projection: the pointer's value, and the generations by their numbers."""

    live: Mapping[str, int]
    generations: Mapping[str, Mapping[int, Generation]]

    def pick(self, projection: str, number: int | None = None) -> Generation:
        """The live generation of a projection, or the one of that number. Raises `GenerationMissing`."""
        there = self.generations.get(projection)
        if not there:
            raise GenerationMissing(f"there is no projection {projection!r} here; `nenrin init` makes them")
        wanted = self.live[projection] if number is None else number
        if wanted not in there:
            readable = ", ".join(str(each.number) for each in there.values() if each.loaded)
            raise GenerationMissing(f"{projection} has no generation {wanted}; there are {readable}")
        if not there[wanted].loaded:
            raise GenerationMissing(
                f"generation {wanted} of {projection} is being built: it can be read once its rows are loaded"
            )
        return there[wanted]


Fetch = Callable[[str], Awaitable[Sequence[asyncpg.Record]]]


class Catalogue:
    """What is known of the generations, and the newest pointers that anybody has seen."""

    def __init__(self, fetch: Fetch) -> None:
        """`fetch` runs a statement."""
        self._fetch = fetch
        self._known: Known | None = None
        self._live: dict[str, int] = {}
        self._turn = asyncio.Lock()
        self._asked = self._answered = 0

    async def known(self) -> Known:
        """What the last look found."""
        return self._known or await self.look()

    async def look(self) -> Known:
        """Look once more; of many who ask at a time, all who ask while a look is under way share the next one."""
        self._asked += 1
        mine = self._asked
        async with self._turn:
            if self._known is None or self._answered < mine:
                asked = self._asked
                self._known = _known(await self._fetch(_LOOK))
                self._live, self._answered = dict(self._known.live), asked
            return self._known

    async def find(self, projection: str, number: int | None = None) -> Generation:
        """The generation that is believed to be live, or the one of that number. Raises `GenerationMissing`."""
        there = (await self.known()).generations.get(projection, {})
        found = there.get(self._live.get(projection, 0) if number is None else number)
        if found is not None and found.loaded:
            return found
        return (await self.look()).pick(projection, number)

    def followed(self, projection: str) -> int:
        """How many generations of a projection are loaded and have not ended, as last looked up."""
        there = self._known.generations.get(projection, {}) if self._known else {}
        return sum(each.loaded and not each.ended for each in there.values())

    def moved(self, projection: str, live: int) -> None:
        """Somebody has seen the pointer name this generation."""
        self._live[projection] = live


def _known(rows: Sequence[asyncpg.Record]) -> Known:
    live: dict[str, int] = {}
    generations: dict[str, dict[int, Generation]] = {}
    for name, pointer, *rest in rows:
        number, encoder, shape, created_at, loaded, ended, dimensions, language = rest
        live[name] = pointer
        generations.setdefault(name, {})[number] = Generation(
            name, number, encoder, dimensions, language, shape, created_at, loaded, ended
        )
    return Known(live, generations)

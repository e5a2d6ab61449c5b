"""The one shape of answer: rows, version, lag and generation out of one SQL statement, so that they agree.

A read model says how its rows are found (a `Shape`); this adds the frame: the pointer's value, the positions, the
log's ends and the parked events, all in the snapshot that the rows come from.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from projections.connections import Connections
from projections.control.tables import READER
from projections.database import prepare
from projections.generations.tables import UNRESOLVED, schema_of
from projections.lag import Frame, Lag, StateName, lag_of, observed_at, version_of
from projections.pulse import Pulse
from schemas.errors import DatabaseAway, GenerationMissing
from schemas.fields import Instant, Natural, Seconds
from schemas.versions import Token, Version

CONNECTIONS = 16
CONNECT_WITHIN = 4.0
ANSWER_WITHIN = 15.0

# Statements are prepared once and run with any parameters, so their plans must not hang on guesses about these:
# where an index can serve, it does. Planning anew each time would cost more than the search itself.
SESSION = {
    "application_name": "nenrin query",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_sort": "off",
    "enable_incremental_sort": "off",
    "jit": "off",
    "hnsw.iterative_scan": "relaxed_order",
}

# Nothing happens before `nenrin init` has made the role.
_ONLY_READ = f"""
SELECT set_config('role', rolname, false) FROM pg_roles
WHERE rolname = '{READER}' AND pg_has_role(current_user, oid, 'MEMBER')
"""

_GENERATIONS = """
SELECT p.name, p.live, g.generation, g.encoder, g.shape,
    (SELECT atttypmod FROM pg_attribute WHERE attrelid = passages AND attname = 'vector') AS dimensions,
    (SELECT substring(pg_get_expr(d.adbin, d.adrelid) FROM '''(\\w+)''::regconfig')
        FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
        WHERE d.adrelid = passages AND a.attname = 'lexemes') AS language
FROM nenrin.projections p JOIN nenrin.generations g ON g.projection = p.name,
    to_regclass(format('%I.passages', p.name || '_g' || g.generation)) AS passages
WHERE g.loaded_at IS NOT NULL
ORDER BY p.name, g.generation
"""

_FRAME = """
SELECT json_build_object(
    'live', (SELECT live FROM nenrin.projections WHERE name = '{projection}'),
    'encoder', (SELECT encoder FROM nenrin.generations WHERE projection = '{projection}' AND generation = {number}),
    'ended', EXISTS (
        SELECT FROM nenrin.generations
        WHERE projection = '{projection}' AND generation = {number} AND ended_at IS NOT NULL
    ),
    'now', extract(epoch FROM clock_timestamp()),
    'heads', (
        SELECT count(*) FROM {schema}.positions p
        JOIN nenrin.heads h ON h.topic = p.topic AND h.incarnation = p.incarnation WHERE p.partition = 0
    ),
    'parked', (SELECT count(*) FROM {schema}.parked WHERE {unresolved}),
    'partitions', (
        SELECT json_agg(json_build_array(
            p.topic, p.partition, p.next, p.epoch, p.incarnation, extract(epoch FROM p.committed_at),
            h.head, h.incarnation, extract(epoch FROM h.observed_at), o.position, extract(epoch FROM o.produced_at)
        ) ORDER BY p.topic, p.partition)
        FROM {schema}.positions p
        LEFT JOIN nenrin.heads h ON h.topic = p.topic AND h.partition = p.partition
        LEFT JOIN nenrin.oldest o ON o.projection = '{projection}' AND o.generation = {number}
            AND o.topic = p.topic AND o.partition = p.partition
    )
)
"""

_decode_frame = msgspec.json.Decoder(Frame).decode
_encode = msgspec.json.Encoder().encode


class Generation(msgspec.Struct, frozen=True):
    """What has to be known of a generation to ask it something. `language` is that of its text search.

    `shape` is that of its tables.
    """

    projection: str
    number: int
    live: int
    encoder: str | None = None
    dimensions: int | None = None
    language: str | None = None
    shape: int = 1

    @property
    def schema(self) -> str:
        """Its schema in Postgres."""
        return schema_of(self.projection, self.number)


Shape = Callable[[Generation], str]
"""SQL for a generation: the common table expressions of a read, the last of them `rows (n, body, traceparent)`: JSON,
by number, with the span that the row's event came from, where it named one."""


class Question(msgspec.Struct, frozen=True):
    """A shape, and the values of its parameters."""

    shape: Shape
    values: tuple[Any, ...] = ()


Ask = Callable[[Generation], Question]
"""Makes the question once it is known whom it goes to."""


class Standing(msgspec.Struct, frozen=True):
    """The member `projection` of every answer: which generation spoke, and how much of the log it has seen."""

    name: str
    generation: int
    encoder: str | None
    version: Token
    lag_events: Natural | None
    lag_seconds: Seconds | None
    state: StateName
    head_observed_at: Instant | None
    parked: Natural


class Answer(msgspec.Struct, frozen=True):
    """What a generation showed at a version: rows as JSON, in order, and for each the `traceparent` of its event."""

    generation: Generation
    frame: Frame
    version: Version
    lag: Lag
    standing: Standing
    rows: tuple[bytes, ...]
    traceparents: tuple[str | None, ...] = ()

    @property
    def ends_in_the_past(self) -> bool:
        """Whether no projector feeds the generation any more: what it lacks it will lack for ever."""
        return self.frame.ended

    def projection(self) -> bytes:
        """`standing` as JSON."""
        return _encode(self.standing)


def answer_of(
    generation: Generation, frame: Frame, rows: Sequence[bytes] = (), traceparents: Sequence[str | None] = ()
) -> Answer:
    """Put an answer together from what one statement returned."""
    version, lag, seen = version_of(frame.partitions), lag_of(frame), observed_at(frame)
    standing = Standing(
        generation.projection,
        generation.number,
        frame.encoder,
        version.token(),
        lag.events,
        lag.seconds,
        lag.state.value,
        None if seen is None else rfc3339(seen),
        frame.parked,
    )
    return Answer(generation, frame, version, lag, standing, tuple(rows), tuple(traceparents))


def rfc3339(seconds: float) -> str:
    """A time as RFC 3339, UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def frame_of(generation: Generation) -> str:
    """SQL for the frame of a generation, as one JSON value."""
    return _FRAME.format(
        projection=generation.projection, number=generation.number, schema=generation.schema, unresolved=UNRESOLVED
    )


def statement(shape: Shape, generation: Generation) -> str:
    """The one statement: row 0 is the frame, then the shape's rows."""
    frame = frame_of(generation)
    return (
        f"WITH {shape(generation)}\nSELECT 0 AS n, ({frame}) AS body, NULL AS traceparent "
        "UNION ALL SELECT n, body, traceparent FROM rows"
    )


class Reader:
    """Asks generations questions, over connections that it opens when they are first needed.

    Postgres may be away when it begins, and go and come back.
    """

    def __init__(self, dsn: str, advice: Callable[[], str] = str) -> None:
        """`advice` says why Postgres may be away, where somebody knows; "" otherwise."""
        self._dsn = dsn
        self._advice = advice
        self._connections: Connections | None = None
        self._generations: dict[str, dict[int, Generation]] = {}
        self._statements: dict[tuple[Shape, Generation], str] = {}

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Reader"]:
        """Be able to read, while the context lasts."""
        self._connections = Connections(self._connect, CONNECTIONS)
        feeling = asyncio.create_task(Pulse(self._connect, self._connections.away).feel(), name="pulse of Postgres")
        try:
            yield self
        finally:
            feeling.cancel()
            self._connections.terminate()
            self._connections = None

    async def _connect(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(
            self._dsn,
            timeout=CONNECT_WITHIN,
            command_timeout=ANSWER_WITHIN,
            max_cached_statement_lifetime=0,  # for ever: there are few, and planning costs more than running them
            server_settings=SESSION,
        )
        try:
            await prepare(connection)
            await connection.execute(_ONLY_READ)  # give up, for this session, whatever the login may do beyond
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def read(self, projection: str, ask: Ask, number: int | None = None) -> Answer:
        """Ask the live generation of a projection, or generation `number`.

        Raises `GenerationMissing`, `DatabaseAway`, and whatever `ask` raises.
        """
        generation = await self.generation(projection, number)
        answer = await self._run(generation, ask(generation))
        if answer is None:  # the pointer moved, or the generation was dropped: look again, once
            self.forget()
            generation = await self.generation(projection, number)
            answer = await self._run(generation, ask(generation))
        if answer is None:
            raise DatabaseAway(f"{projection} is being promoted: its live generation changed twice in one read")
        return answer

    async def _run(self, generation: Generation, question: Question) -> Answer | None:
        try:
            found = await self.fetch(self._statement(question.shape, generation), *question.values)
        except GenerationMissing:
            return None
        found.sort(key=_number)
        frame = _decode_frame(found[0][1])
        if (frame.live, frame.encoder) != (generation.live, generation.encoder):
            return None
        del found[0]
        return answer_of(generation, frame, [row[1].encode() for row in found], [row[2] for row in found])

    def _statement(self, shape: Shape, generation: Generation) -> str:
        key = (shape, generation)
        if (known := self._statements.get(key)) is None:
            known = self._statements[key] = statement(shape, generation)
        return known

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        """Run a statement. Raises `DatabaseAway`, `GenerationMissing`."""
        if self._connections is None:
            raise DatabaseAway("nothing is connected: reads happen inside `reading`")
        try:
            return await self._connections.fetch(sql, *values)
        except DatabaseAway as error:
            raise DatabaseAway(str(error), self._advice()) from error

    def forget(self) -> None:
        """Forget which generations there are; the next question looks again."""
        self._generations = {}

    async def generation(self, projection: str, number: int | None = None) -> Generation:
        """The live generation of a projection, or the one of that number. Raises `GenerationMissing`."""
        known = await self.generations()
        found = known.get(projection)
        if found is None or (number is not None and number not in found):
            self.forget()  # it may have been made since
            found = (await self.generations()).get(projection)
        if not found:
            raise GenerationMissing(f"there is no projection {projection!r} here; `nenrin init` makes them")
        wanted = next(iter(found.values())).live if number is None else number
        if wanted not in found:
            raise GenerationMissing(f"{projection} has no generation {wanted}; there are {', '.join(map(str, found))}")
        return found[wanted]

    async def generations(self, *, fresh: bool = False) -> dict[str, dict[int, Generation]]:
        """Every generation, by projection and number, as last looked up; with `fresh`, as they are now."""
        if fresh or not self._generations:
            self._generations = _by_projection(await self.fetch(_GENERATIONS))
        return self._generations


def _number(row: asyncpg.Record) -> int:
    number: int = row[0]
    return number


def _by_projection(rows: Sequence[asyncpg.Record]) -> dict[str, dict[int, Generation]]:
    found: dict[str, dict[int, Generation]] = {}
    for row in rows:
        generation = Generation(
            row["name"],
            row["generation"],
            row["live"],
            row["encoder"],
            row["dimensions"],
            row["language"],
            row["shape"],
        )
        found.setdefault(generation.projection, {})[generation.number] = generation
    return found

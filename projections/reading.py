"""The one shape of answer: rows, version, lag and generation out of one SQL statement, so that they agree.

A read model says how its rows are found (a `Shape`); this adds the frame: the pointer's value, the positions, the
log's ends and the parked events, all in the snapshot that the rows come from.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from projections.catalogue import Catalogue, Generation
from projections.connections import Connections
from projections.control.tables import READER
from projections.database import prepare
from projections.generations.tables import UNRESOLVED
from projections.lag import Frame, Lag, StateName, lag_of, observed_at, version_of
from projections.pulse import Pulse
from schemas.errors import DatabaseAway, GenerationMissing, GenerationOutdated
from schemas.fields import Instant, Natural, Seconds
from schemas.versions import Token, Version

CONNECTIONS = 16
CONNECT_WITHIN = 4.0
ANSWER_WITHIN = 15.0
TRIES = 5
"""Statements that one read may take. Two, when the pointer has moved; more, where generations are dropped meanwhile."""

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

_FRAME = """
SELECT json_build_object(
    'live', (SELECT live FROM nenrin.projections WHERE name = '{projection}'),
    'encoder', g.encoder,
    'created_at', extract(epoch FROM g.created_at)::float8,
    'ended', g.ended_at IS NOT NULL OR g.until IS NOT NULL,
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
FROM (SELECT) AS one LEFT JOIN nenrin.generations g ON g.projection = '{projection}' AND g.generation = {number}
"""

_decode_frame = msgspec.json.Decoder(Frame).decode
_encode = msgspec.json.Encoder().encode


Shape = Callable[[Generation], str]
"""SQL for a generation: the common table expressions of a read, the last of them `rows (n, body, traceparent)`: JSON,
by number, with the span that the row's event came from, where it named one.

A generation keeps its tables for life, and serves until one of a newer shape is built and promoted. So whoever gives a
read model's tables another shape goes by `Generation.shape` here, for as long as generations of the older one may be
asked. What can't be told of it, a column that it lacks, is a `GenerationOutdated`.
"""


class Question(msgspec.Struct, frozen=True):
    """A shape, and the values of its parameters."""

    shape: Shape
    values: tuple[Any, ...] = ()


Ask = Callable[[Generation], Question | Awaitable[Question]]
"""Makes the question once it is known whom it goes to, and again where that was another one."""


def _no_rows(_: Generation) -> str:
    return "rows AS (SELECT 1 AS n, NULL::json AS body, NULL AS traceparent WHERE false)"


NOTHING = Question(_no_rows)
"""Asks for no rows: only how a generation stands."""


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
    def is_live(self) -> bool:
        """Whether the pointer named the generation, in the snapshot that the rows are from."""
        return self.frame.live == self.generation.number

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
        self._catalogue = Catalogue(self.fetch)
        self._statements: dict[Generation, dict[Shape, str]] = {}

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Reader"]:
        """Be able to read, while the context lasts."""
        self._connections = Connections(self._connect, CONNECTIONS)
        feeling = asyncio.create_task(Pulse(self._connect, self._connections.away).feel(), name="pulse of Postgres")
        try:
            yield self
        finally:
            feeling.cancel()
            await self._connections.close()
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

        The answer is of a generation that was live at a moment of this read. Its own statement says whether it is; if
        not, which one is, and that one's answer counts, though the pointer may have moved on while it was made.
        Raises `GenerationMissing`, `GenerationOutdated`, `DatabaseAway`, and whatever `ask` raises.
        """
        generation, was_live = await self._catalogue.find(projection, number), False
        for _ in range(TRIES):
            question, objection = await _question(ask, generation)
            try:
                answer = await self._run(generation, question)
            except GenerationMissing as error:
                generation, was_live = await self._instead(generation, number, error), True
                continue
            if number is None and not answer.is_live and (not was_live or answer.ends_in_the_past):
                self._catalogue.moved(projection, answer.frame.live)
                generation, was_live = await self._catalogue.find(projection, answer.frame.live), True
                continue
            if objection is not None:
                raise objection
            return answer
        raise DatabaseAway(f"the generations of {projection} come and go faster than they can be read")

    async def _instead(self, lost: Generation, number: int | None, why: GenerationMissing) -> Generation:
        """What there is now in place of a generation that wasn't found. Raises `GenerationOutdated` if it is there."""
        found = (await self._catalogue.look()).pick(lost.projection, number)
        if found == lost:
            raise GenerationOutdated(f"{lost.schema} is not as this version of Nenrin reads it: {why}") from why
        return found

    async def _run(self, generation: Generation, question: Question) -> Answer:
        found = await self.fetch(self._statement(question.shape, generation), *question.values)
        found.sort(key=_number)
        frame = _decode_frame(found[0][1])
        if (frame.created_at, frame.encoder) != (generation.created_at, generation.encoder):
            raise GenerationMissing(f"{generation.schema} is another one than it was")
        del found[0]
        return answer_of(generation, frame, [row[1].encode() for row in found], [row[2] for row in found])

    def _statement(self, shape: Shape, generation: Generation) -> str:
        known = self._statements.setdefault(generation, {})
        if (sql := known.get(shape)) is None:
            sql = known[shape] = statement(shape, generation)
        return sql

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        """Run a statement. Raises `DatabaseAway`, `GenerationMissing`."""
        if self._connections is None:
            raise DatabaseAway("nothing is connected: reads happen inside `reading`")
        try:
            return await self._connections.fetch(sql, *values)
        except DatabaseAway as error:
            raise DatabaseAway(str(error), self._advice()) from error

    async def generation(self, projection: str, number: int | None = None) -> Generation:
        """The live generation of a projection, or the one of that number. Raises `GenerationMissing`."""
        return await self._catalogue.find(projection, number)

    def followed(self, projection: str) -> int:
        """How many generations of a projection move with the log, as far as is known."""
        return self._catalogue.followed(projection)

    async def generations(self, *, fresh: bool = False) -> Mapping[str, Mapping[int, Generation]]:
        """Every generation, by projection and number, as last looked up; with `fresh`, as they are now."""
        if not fresh:
            return (await self._catalogue.known()).generations
        known = await self._catalogue.look()
        there = {each for numbers in known.generations.values() for each in numbers.values()}
        self._statements = {each: statements for each, statements in self._statements.items() if each in there}
        return known.generations


async def _question(ask: Ask, generation: Generation) -> tuple[Question, Exception | None]:
    """What is asked of a generation, or nothing but how it stands where something is to be said against asking it.

    For that may be said of a generation which isn't live any more: its own statement has to tell.
    """
    try:
        question = ask(generation)
        return question if isinstance(question, Question) else await question, None
    except Exception as objection:
        return NOTHING, objection


def _number(row: asyncpg.Record) -> int:
    number: int = row[0]
    return number

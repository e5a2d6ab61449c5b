"""Bringing one generation exactly to a version of another one, which goes on moving all the time.

The other one is looked at in a snapshot that is held as long as the two are compared. What the first one lacks of it is
read from its own topic and applied by the ordinary writer, up to each position and not one offset further.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import asyncpg

from projections.catalogue import Generation
from projections.database import connect
from projections.generations import moments
from projections.generations.moments import Moment, Standing
from projections.positions import Position
from projections.writer import Writer
from schemas.errors import Fenced, NenrinError, TooManyParked
from schemas.topics import DOCUMENTS, derived
from services.replay import reading
from services.settings import Settings

LOOK_EVERY = 0.05
PATIENCE = 30.0
"""Seconds without a step after which who is behind is not waited for: the live generation, or an embedder."""
NEAR = 1_000
"""Source offsets that may be read while the snapshot is held; more are read before it is taken, where they can be."""
ROUNDS = 20
"""How often what live has gained meanwhile is read before the snapshot, however much that still is."""
TRIES = 3
"""Times that the partitions are claimed: a projector that has not noticed yet may claim once behind it."""


Shown = Callable[[int, int], None]
"""Is told how many of how many source offsets have been read."""


class NotPaused(NenrinError):
    """Two generations could not be brought to one version; the message says which of them is in the way, and why."""


@asynccontextmanager
async def at_one_version(
    settings: Settings, writer: Writer, generation: Generation, other: Generation, shown: Shown
) -> AsyncIterator[tuple[Moment, Moment]]:
    """Bring `generation`, which `writer` writes and nobody else may, to where `other` is; yield both, `other` first.

    `shown` is told how many source offsets are read. Raises `NotPaused`, what `Writer.claim` and `reading.entries`
    raise, `GenerationMissing`, `DatabaseAway`.
    """
    name = f"nenrin compare {generation.schema}"
    try:
        follower = _Follower(settings, writer, generation, shown)
        here = await follower.near(other)
        async with moments.moment(settings.dsn, other.projection, other.number, name) as theirs:
            await follower.reach(theirs.standing, here)
            async with moments.moment(settings.dsn, generation.projection, generation.number, name) as ours:
                if dict(ours.standing.next) != dict(theirs.standing.next):
                    raise NotPaused(f"{generation.schema} was moved by somebody else meanwhile: try again")
                yield theirs, ours
    except Fenced as error:
        raise NotPaused(f"a projector does not leave it alone: {error}; try again") from error
    finally:
        await writer.release()


class _Follower:
    """A generation that is brought up with another one."""

    def __init__(self, settings: Settings, writer: Writer, generation: Generation, shown: Shown) -> None:
        self._settings = settings
        self._writer = writer
        self._generation = generation
        self._shown = shown
        self._done = 0

    async def near(self, other: Generation) -> Mapping[int, Position]:
        """Come so near that little is left to read; returns where it stands."""
        connection = await connect(self._settings.dsn, application=f"nenrin compare {self._generation.schema}")
        try:
            for _ in range(TRIES - 1):
                with suppress(Fenced):
                    return await self._near(connection, other)
            return await self._near(connection, other)
        finally:
            connection.terminate()

    async def _near(self, connection: asyncpg.Connection, other: Generation) -> Mapping[int, Position]:
        here = await self._claim(connection)
        for _ in range(ROUNDS):
            target = await self._passed(connection, other, here)
            if _distance(here, target) <= NEAR:
                return here
            here = await self._read(here, target)
        return here

    async def _claim(self, connection: asyncpg.Connection) -> Mapping[int, Position]:
        stretch = await reading.stretch(self._settings.kafka_settings(), self._generation.encoder)
        mine = await moments.standing(connection, self._generation.schema)
        source = stretch.source
        return await self._writer.claim(DOCUMENTS, list(mine.next), source.incarnation, source.partitions)

    async def _passed(
        self, connection: asyncpg.Connection, other: Generation, here: Mapping[int, Position]
    ) -> Standing:
        """Where the other one stands, once it has passed this one in every partition."""
        clock = asyncio.get_running_loop()
        before, since = dict[int, int](), clock.time()
        while True:
            theirs = await moments.standing(connection, other.schema)
            mine = await moments.standing(connection, self._generation.schema)
            _check_comparable(self._generation, mine, other, theirs)
            if not (lacking := theirs.behind(mine)):
                return theirs
            if (now := {partition: theirs.next[partition] for partition in lacking}) != before:
                before, since = now, clock.time()
            if clock.time() - since > PATIENCE:
                raise NotPaused(
                    f"{other.schema} is behind {self._generation.schema} ({_listed(lacking)}) and has not moved for "
                    f"{PATIENCE:g} s: `nenrin doctor` says why"
                )
            await asyncio.sleep(LOOK_EVERY)

    async def reach(self, target: Standing, here: Mapping[int, Position]) -> None:
        """Apply everything below `target`, and nothing else."""
        await self._read(here, target)

    async def _read(self, here: Mapping[int, Position], target: Standing) -> Mapping[int, Position]:
        clock = asyncio.get_running_loop()
        since = clock.time()
        while left := {partition: at for partition, at in here.items() if at.next < target.next[partition]}:
            now = await self._read_once(left, target)
            if now != left:
                self._done += _distance(left, target) - _distance(now, target)
                here, since = {**here, **now}, clock.time()
            elif clock.time() - since > PATIENCE:
                raise NotPaused(self._short(here, target))
            else:
                await asyncio.sleep(LOOK_EVERY)
            self._shown(self._done, self._done + _distance(here, target))
        return here

    async def _read_once(self, here: Mapping[int, Position], target: Standing) -> Mapping[int, Position]:
        kafka = self._settings.kafka_settings()
        stretch = await reading.stretch(kafka, self._generation.encoder)
        try:
            async for entries in reading.entries(kafka, stretch, here, target.next):
                await self._writer.apply(entries[0].place.partition, entries)
        except TooManyParked as error:
            raise NotPaused(str(error)) from error
        return {partition: self._writer.position(partition) for partition in here}

    def _short(self, here: Mapping[int, Position], target: Standing) -> str:
        at = Standing(target.topic, target.incarnation, {each: position.next for each, position in here.items()})
        topic = DOCUMENTS if self._generation.encoder is None else derived(self._generation.encoder)
        return (
            f"{topic} ends before the version of the other one ({_listed(at.behind(target))} missing) and nothing came "
            f"in {PATIENCE:g} s: an embedder is behind, or does not run"
        )


def _check_comparable(generation: Generation, mine: Standing, other: Generation, theirs: Standing) -> None:
    if mine.incarnation != theirs.incarnation:
        raise NotPaused(
            f"{other.schema} counts offsets of {theirs.topic} {theirs.incarnation}, {generation.schema} those of "
            f"{mine.incarnation}: the topic was made anew in between, so no version is one of both"
        )
    if mine.next.keys() != theirs.next.keys():
        raise NotPaused(
            f"{generation.schema} has {len(mine.next)} partitions, {other.schema} {len(theirs.next)}: they have no "
            "version in common"
        )


def _distance(here: Mapping[int, Position], target: Standing) -> int:
    """Source offsets that are to be read, of the partitions in `here`."""
    return sum(max(0, target.next[partition] - position.next) for partition, position in here.items())


def _listed(lacking: Mapping[int, int]) -> str:
    return ", ".join(f"{count} in partition {partition}" for partition, count in sorted(lacking.items()))

"""Every build of every projection, for operators: what readers are told of each, and what only they ask."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from projections.database import connect, translated
from projections.generations import holding
from projections.generations.read import Digest, Lifecycle, Overview, overview
from projections.lag import heads_of
from projections.reading import Reader
from schemas.versions import Token
from services.settings import Settings

_FACTS = "SELECT projection, generation, shape, until, created_at, loaded_at, ended_at FROM nenrin.generations"
_POINTERS = "SELECT name, live, previous FROM nenrin.projections ORDER BY name"


class DigestShown(msgspec.Struct, frozen=True):
    """What a generation holds, as the query service tells it: sums of hashes as 16 hex digits."""

    documents: int
    passages: int
    content: str
    vectors: str


class Build(msgspec.Struct, frozen=True):
    """A generation. `loaded_at` is None while its rows are loaded; `until` is the version that it ends at, if any."""

    generation: int
    lifecycle: str
    state: str
    encoder: str | None
    version: Token
    heads: dict[str, dict[int, int | None]]
    lag_events: int | None
    lag_seconds: float | None
    parked: int | None
    digest: DigestShown | None
    rows: int | None
    shape: int
    until: Token | None
    created_at: datetime
    loaded_at: datetime | None
    ended_at: datetime | None


class Builds(msgspec.Struct, frozen=True):
    """A projection: what its pointer names, and all of its generations."""

    name: str
    live: int
    previous: int | None
    generations: Sequence[Build]


class Listing(msgspec.Struct, frozen=True):
    """All projections, and who replays at the moment."""

    projections: Sequence[Builds]
    replaying: str | None


async def listing(settings: Settings) -> Listing:
    """Look at a database. Raises `DatabaseAway`, and `GenerationMissing` where Nenrin isn't installed."""
    async with Reader(settings.dsn).reading() as reader:
        seen = await overview(reader)
    connection = await connect(settings.dsn, application="nenrin projections list")
    try:
        with translated():
            facts = {(row["projection"], row["generation"]): row for row in await connection.fetch(_FACTS)}
            pointers = await connection.fetch(_POINTERS)
        replaying = await holding.holder(connection)
    finally:
        connection.terminate()
    return Listing([_builds(pointer, seen, facts) for pointer in pointers], replaying)


def _builds(pointer: asyncpg.Record, seen: Sequence[Overview], facts: dict[tuple[str, int], asyncpg.Record]) -> Builds:
    found = [
        _build(each, facts[key])
        for each in seen
        if (key := (each.answer.generation.projection, each.answer.generation.number)) in facts
        and key[0] == pointer["name"]
    ]
    return Builds(pointer["name"], pointer["live"], pointer["previous"], found)


def _build(seen: Overview, facts: asyncpg.Record) -> Build:
    answer = seen.answer
    lifecycle = seen.lifecycle if facts["ended_at"] is None or seen.lifecycle is Lifecycle.LIVE else Lifecycle.PAST
    return Build(
        answer.generation.number,
        lifecycle.value,
        answer.lag.state.value,
        answer.standing.encoder,
        answer.version.token(),
        heads_of(answer.frame.partitions),
        answer.lag.events,
        answer.lag.seconds,
        None if seen.digest is None else answer.frame.parked,
        None if seen.digest is None else _shown(seen.digest),
        None if seen.digest is None else seen.digest.documents + seen.digest.passages,
        facts["shape"],
        facts["until"],
        facts["created_at"],
        facts["loaded_at"],
        facts["ended_at"],
    )


def _shown(digest: Digest) -> DigestShown:
    return DigestShown(digest.documents, digest.passages, f"{digest.content:016x}", f"{digest.vectors:016x}")

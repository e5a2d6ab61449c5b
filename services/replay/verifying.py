"""Verification: a generation held against a replay of its own log, row by row, at one of its versions."""

import os
import socket
import sys
from collections.abc import Sequence
from functools import partial

import asyncpg
import msgspec

from projections.catalogue import Catalogue, Generation
from projections.control.install import administration
from projections.digests import Tally
from projections.generations import lifecycle, moments, scratch, tallies
from projections.generations.comparing import Compared, Difference, differences, key_of
from projections.generations.holding import hold, holding
from projections.generations.lifecycle import Build
from projections.generations.moments import Moment
from projections.generations.scratch import SCRATCH
from projections.models import model
from projections.port import ReadModel
from projections.writer import Writer
from schemas.errors import NenrinError
from schemas.topics import DOCUMENTS
from schemas.versions import Token
from services.covering import covers
from services.replay import reading
from services.replay.pausing import at_one_version
from services.replay.progress import Phase, Progress, Silent
from services.settings import Settings

MOST = 1_000
"""Findings of each kind that are listed; where there are more, the whole generation is at fault."""
NO_LIMIT = sys.maxsize


class NotVerifiable(NenrinError):
    """A generation that can't be replayed by this version of Nenrin; the message says why."""


class Finding(msgspec.Struct, frozen=True):
    """Something that the generation holds otherwise than its log says: `what` it is, and `how` it differs.

    A row is named by its table, "documents" or "passages", with the document and the passage's `ordinal`; a digest by
    its collection; a parked event by its place in the log.
    """

    what: str
    how: str
    collection: str | None = None
    document_id: str | None = None
    ordinal: int | None = None


class Verdict(msgspec.Struct, frozen=True):
    """What was found. `version` is where the generation stood when it was looked at; `more`: not all are listed."""

    projection: str
    generation: int
    version: Token
    documents: int
    findings: Sequence[Finding]
    more: bool = False

    @property
    def holds(self) -> bool:
        """Whether the generation is what its log says."""
        return not self.findings


async def verify(
    settings: Settings, projection: str, generation: int | None, by: str, progress: Progress | None = None
) -> Verdict:
    """Replay a generation's log into a scratch generation, up to one version of it, and compare every row of both.

    It goes on serving and moving meanwhile. What a killed verification left is dropped by the next one. Raises
    `NotVerifiable`, `NotPaused`, `GenerationMissing`, `Held`, and what makes the log unfit to be replayed.
    """
    what = f"verification of {projection} by {by[:16]}, pid {os.getpid()} on {socket.gethostname()}"
    async with holding(settings.dsn, what) as keeper:
        verified = (await Catalogue(keeper.fetch).look()).pick(projection, generation)
        fold = model(projection, verified.language or settings.text_language)
        if verified.shape != fold.shape:
            raise NotVerifiable(
                f"{verified.schema} was made by a version of Nenrin with another fold (shape {verified.shape}, here "
                f"{fold.shape}): `nenrin projections rebuild {projection}` makes it anew"
            )
        await hold(keeper, projection, SCRATCH)
        await lifecycle.drop(keeper, projection, SCRATCH)
        try:
            return await _compare(settings, keeper, verified, fold, progress or Silent())
        finally:
            if not keeper.is_closed():
                await lifecycle.drop(keeper, projection, SCRATCH)


async def _compare(
    settings: Settings, keeper: asyncpg.Connection, verified: Generation, fold: ReadModel, progress: Progress
) -> Verdict:
    build = await _build(settings, verified)
    async with administration(settings.dsn) as connection:
        await scratch.make(connection, fold, build)
    replayed = msgspec.structs.replace(verified, number=SCRATCH)
    writer = Writer(fold, SCRATCH, settings.dsn, park_limit=NO_LIMIT)
    show = partial(progress.show, Phase.LOADING)
    async with at_one_version(settings, writer, replayed, verified, show) as (there, here):
        progress.show(Phase.COMPARING)
        return await _verdict(verified, fold, here, there)


async def _build(settings: Settings, verified: Generation) -> Build:
    """The same generation made today: it begins where the log does."""
    kafka = settings.kafka_settings()
    stretch = await reading.stretch(kafka, verified.encoder)
    begins = stretch.begins
    if verified.encoder is not None:
        cover = await covers(kafka, stretch.source, verified.encoder)
        begins = {partition: each.begin for partition, each in cover.items()}
    source = stretch.source
    return Build(DOCUMENTS, source.partitions, source.incarnation, verified.encoder, verified.dimensions, begins)


async def _verdict(verified: Generation, fold: ReadModel, here: Moment, there: Moment) -> Verdict:
    """Compare `here`, the replay, with `there`, what is verified."""
    found: list[Finding] = []
    for table in fold.tables:
        compared = Compared(table, key_of(table, fold.tables), fold.columns(table))
        async for difference in differences(here.side, there.side, compared):
            found.append(_row(difference))
            if len(found) >= MOST:
                break
    expected, kept = await tallies.kept(here.side), await tallies.kept(there.side)
    others = [*_digests(expected, kept), *await _parked(here, there)]
    return Verdict(
        verified.projection,
        verified.number,
        there.standing.version.token(),
        sum(tally.documents for tally in expected.values()),
        [*found, *others[:MOST]],
        len(found) >= MOST or len(others) > MOST,
    )


def _row(difference: Difference) -> Finding:
    collection, document_id, *ordinal = difference.key
    return Finding(difference.table, difference.how, collection, document_id, ordinal[0] if ordinal else None)


def _digests(expected: tallies.Tallies, kept: tallies.Tallies) -> list[Finding]:
    """Digests and counts that are not what the log comes to."""
    wrong = [where for where in sorted(expected.keys() | kept.keys()) if expected.get(where) != kept.get(where)]
    return [
        Finding("digests", f"partition {partition}: {_told(expected, kept, (partition, collection))}", collection)
        for partition, collection in wrong
    ]


def _told(expected: tallies.Tallies, kept: tallies.Tallies, where: tuple[int, str]) -> str:
    right, wrong = expected.get(where, Tally()), kept.get(where, Tally())
    names = [name for name in Tally.__struct_fields__ if getattr(right, name) != getattr(wrong, name)]
    return ", ".join(f"{name} {getattr(wrong, name)}, not {getattr(right, name)}" for name in names)


async def _parked(here: Moment, there: Moment) -> list[Finding]:
    """Events that only one of them has parked, and nothing resolved."""
    expected, kept = await moments.unresolved(here.side), await moments.unresolved(there.side)
    return [
        Finding("parked", f"{topic}/{partition}@{offset} is {'missing' if place in expected else 'extra'}")
        for place in sorted(expected ^ kept)
        for topic, partition, offset in [place]
    ]

"""What there is to know about generations themselves: how each stands, and what it holds."""

from contextlib import suppress
from enum import StrEnum

import msgspec

from projections.catalogue import Generation
from projections.lag import Frame
from projections.reading import NOTHING, TRIES, Answer, Question, Reader, answer_of, frame_of
from schemas.errors import GenerationMissing


class Lifecycle(StrEnum):
    """Where a generation is in its life."""

    LIVE = "live"
    BUILDING = "building"
    PREVIOUS = "previous"
    PAST = "past"


class Digest(msgspec.Struct, frozen=True):
    """What a generation holds: counts, and sums of row hashes modulo 2^64."""

    documents: int
    passages: int
    content: int
    vectors: int


class Overview(msgspec.Struct, frozen=True):
    """A generation: how it stands, and what it holds, of one snapshot.

    While its rows are loaded nothing of that is known, but for its encoder: there is no digest, the version is that of
    nothing, the lag unknown.
    """

    answer: Answer
    lifecycle: Lifecycle
    digest: Digest | None


class _Row(msgspec.Struct, frozen=True):
    frame: Frame
    digest: Digest | None = None
    previous: int | None = None


# The next build is with an encoder that was added since the newest one: its model takes a while to load.
_ENCODERS = """
SELECT encoder FROM nenrin.generations WHERE encoder IS NOT NULL
UNION SELECT name FROM nenrin.encoders
WHERE added_at > (SELECT max(created_at) FROM nenrin.generations WHERE encoder IS NOT NULL)
"""

_decode_row = msgspec.json.Decoder(_Row).decode


async def encoders_asked(reader: Reader) -> set[str]:
    """The names of the encoders whose vectors a generation keeps, and of those that the next is to be made with.

    Raises `DatabaseAway`, `GenerationMissing`.
    """
    return {row[0] for row in await reader.fetch(_ENCODERS)}


async def overview(reader: Reader, projection: str | None = None) -> list[Overview]:
    """Every generation of a projection, or of all of them, in one snapshot. Raises `GenerationMissing`."""
    for _ in range(TRIES - 1):
        with suppress(GenerationMissing):  # one was dropped between the list and the look
            return await _overview(reader, projection)
    return await _overview(reader, projection)


async def _overview(reader: Reader, projection: str | None) -> list[Overview]:
    known = await reader.generations(fresh=True)
    wanted = [
        generation
        for name, numbers in known.items()
        if projection is None or name == projection
        for generation in numbers.values()
    ]
    if not wanted:
        raise GenerationMissing(f"there is no projection {projection!r} here; `nenrin init` makes them")
    rows = await reader.fetch(" UNION ALL ".join(_seen(number, each) for number, each in enumerate(wanted)))
    return [_overview_of(wanted[number], _decode_row(body)) for number, body in sorted(rows)]


def _overview_of(generation: Generation, row: _Row) -> Overview:
    lifecycle = _lifecycle(generation.number, row.frame, row.previous)
    return Overview(answer_of(generation, row.frame), lifecycle, row.digest)


def _lifecycle(generation: int, frame: Frame, previous: int | None) -> Lifecycle:
    if generation == frame.live:
        return Lifecycle.LIVE
    if generation == previous:
        return Lifecycle.PREVIOUS
    return Lifecycle.PAST if frame.ended else Lifecycle.BUILDING


def _seen(number: int, generation: Generation) -> str:
    if not generation.loaded:
        return f"SELECT {number}, json_build_object('frame', ({_unread(generation)}))"
    return f"""SELECT {number}, json_build_object(
        'frame', ({frame_of(generation)}),
        'previous', (SELECT previous FROM nenrin.projections WHERE name = '{generation.projection}'),
        'digest', (
            SELECT json_build_object(
                'documents', coalesce(sum(documents), 0), 'passages', coalesce(sum(passages), 0),
                'content', mod(coalesce(sum(content), 0), 18446744073709551616),
                'vectors', mod(coalesce(sum(vectors), 0), 18446744073709551616)
            ) FROM {generation.schema}.digests
        )
    )"""


def _unread(generation: Generation) -> str:
    """SQL for the frame of a generation whose tables whoever loads them may have locked."""
    return f"""
        SELECT json_build_object(
            'live', (SELECT live FROM nenrin.projections WHERE name = '{generation.projection}'),
            'encoder', (
                SELECT encoder FROM nenrin.generations
                WHERE projection = '{generation.projection}' AND generation = {generation.number}
            ),
            'now', extract(epoch FROM clock_timestamp()), 'parked', 0, 'partitions', '[]'::json
        )
    """


def nothing() -> Question:
    """No rows: only how a generation stands."""
    return NOTHING

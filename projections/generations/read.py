"""What there is to know about generations themselves: how each stands, and what it holds."""

from enum import StrEnum

import msgspec

from projections.lag import Frame
from projections.reading import Answer, Generation, Question, Reader, answer_of, frame_of
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
    """A generation: how it stands, and what it holds, of one snapshot."""

    answer: Answer
    lifecycle: Lifecycle
    digest: Digest


class _Row(msgspec.Struct, frozen=True):
    frame: Frame
    digest: Digest
    previous: int | None = None


_decode_row = msgspec.json.Decoder(_Row).decode


async def overview(reader: Reader, projection: str | None = None) -> list[Overview]:
    """Every generation of a projection, or of all of them, in one snapshot. Raises `GenerationMissing`."""
    try:
        return await _overview(reader, projection)
    except GenerationMissing:  # one was dropped between the list and the look
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


def nothing() -> Question:
    """No rows: only how a generation stands."""
    return Question(_nothing)


def _nothing(_: Generation) -> str:
    return "rows AS (SELECT 1 AS n, NULL::json AS body, NULL AS traceparent WHERE false)"

"""What there is to know about generations themselves: how each stands, what it holds, and what it has parked."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from projections.lag import Frame
from projections.reading import Answer, Generation, Question, Reader, answer_of, frame_of
from schemas.errors import GenerationMissing

VALUE_SHOWN = 64 * 1024
"""Bytes of a parked event's value that are shown."""


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


class ParkedRow(msgspec.Struct, frozen=True):
    """An event that could not be applied, and that no later one has healed."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    reason: str
    value: bytes | None
    value_bytes: int | None
    headers: bytes
    parked_at: str


_decode_row = msgspec.json.Decoder(_Row).decode
_decode_parked = msgspec.json.Decoder(ParkedRow).decode


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
    lifecycle = _lifecycle(generation.number, row.frame.live, row.previous)
    return Overview(answer_of(generation, row.frame), lifecycle, row.digest)


def _lifecycle(generation: int, live: int, previous: int | None) -> Lifecycle:
    if generation == live:
        return Lifecycle.LIVE
    if generation == previous:
        return Lifecycle.PREVIOUS
    return Lifecycle.BUILDING if generation > live else Lifecycle.PAST


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
    return "rows AS (SELECT 1 AS n, NULL::json AS body WHERE false)"


def parked() -> Question:
    """The unresolved parked events, oldest offset first; to be read with `parked_rows`."""
    return Question(_parked)


def parked_rows(rows: Sequence[bytes]) -> list[ParkedRow]:
    """What `parked` found."""
    return [_decode_parked(row) for row in rows]


def _parked(generation: Generation) -> str:
    shown = f"substring(value FROM 1 FOR {VALUE_SHOWN})"
    return f"""rows AS (
        SELECT row_number() OVER (ORDER BY topic, partition, "offset") AS n, json_build_object(
            'topic', topic, 'partition', partition, 'offset', "offset", 'reason', reason,
            'key', {_base64("key")}, 'value', {_base64(shown)}, 'value_bytes', length(value),
            'headers', {_base64("headers")},
            'parked_at', to_char(parked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
        ) AS body
        FROM {generation.schema}.parked WHERE resolved_by IS NULL
    )"""


def _base64(value: str) -> str:
    """SQL for base64 without Postgres' line breaks."""
    return f"translate(encode({value}, 'base64'), E'\\n', '')"

"""The events that a generation could not apply: a page of the unresolved ones, and one of them whole."""

from collections.abc import Sequence

import msgspec

from projections.reading import Generation, Question

VALUE_SHOWN = 64 * 1024
"""Bytes of an event's value, and of its headers' values together, that are shown."""
KEY_SHOWN = 4 * 1024
"""Bytes of an event's key that are shown: more than any valid one has."""

Position = tuple[str, int, int]
"""Topic, partition, offset."""
FIRST: Position = ("", -1, -1)
"""Before every event."""


class ParkedRow(msgspec.Struct, frozen=True):
    """An event that could not be applied. `resolved_by` is the offset of the later good event that healed it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    reason: str
    value_bytes: int | None
    parked_at: str
    resolved_by: int | None


class ParkedWhole(ParkedRow, frozen=True):
    """The same with what it holds: headers as MessagePack, of the value the first `VALUE_SHOWN` bytes."""

    headers: bytes
    value: bytes | None


_decode_row = msgspec.json.Decoder(ParkedRow).decode
_decode_whole = msgspec.json.Decoder(ParkedWhole).decode


def page(after: Position, limit: int) -> Question:
    """At most `limit` unresolved events that come after `after`, in order; to be read with `rows`."""
    return Question(_page, (*after, limit))


def one(place: Position) -> Question:
    """One event, resolved or not, if it is parked at all; to be read with `whole`."""
    return Question(_one, place)


def rows(found: Sequence[bytes]) -> list[ParkedRow]:
    """What `page` found."""
    return [_decode_row(row) for row in found]


def whole(found: bytes) -> ParkedWhole:
    """What `one` found."""
    return _decode_whole(found)


def _base64(value: str) -> str:
    """SQL for base64 without Postgres' line breaks."""
    return f"translate(encode({value}, 'base64'), E'\\n', '')"


_MEMBERS = f"""
    'topic', topic, 'partition', partition, 'offset', "offset", 'reason', reason, 'resolved_by', resolved_by,
    'key', {_base64(f"substring(key FROM 1 FOR {KEY_SHOWN})")}, 'value_bytes', length(value),
    'parked_at', to_char(parked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
"""
_CONTENT = f"""
    'headers', {_base64("headers")}, 'value', {_base64(f"substring(value FROM 1 FOR {VALUE_SHOWN})")}
"""


def _page(generation: Generation) -> str:
    return f"""rows AS (
        SELECT row_number() OVER (ORDER BY topic, partition, "offset") AS n, json_build_object({_MEMBERS}) AS body,
            NULL AS traceparent
        FROM (
            SELECT * FROM {generation.schema}.parked
            WHERE resolved_by IS NULL AND (topic, partition, "offset") > ($1, $2, $3)
            ORDER BY topic, partition, "offset" LIMIT $4
        ) AS page
    )"""


def _one(generation: Generation) -> str:
    return f"""rows AS (
        SELECT 1 AS n, json_build_object({_MEMBERS}, {_CONTENT}) AS body, NULL AS traceparent
        FROM {generation.schema}.parked WHERE topic = $1 AND partition = $2 AND "offset" = $3
    )"""

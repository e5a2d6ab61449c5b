"""The events that a generation could not apply: a page of the unresolved ones, and one of them whole."""

from collections.abc import Sequence

import msgspec

from projections.catalogue import Generation
from projections.generations.tables import UNRESOLVED
from projections.reading import Question

VALUE_SHOWN = 64 * 1024
"""Bytes of an event's value, and of its headers' values together, that are shown."""
KEY_SHOWN = 4 * 1024
"""Bytes of an event's key that are shown: more than any valid one has."""

Position = tuple[str, int, int]
"""Topic, partition, offset."""
FIRST: Position = ("", -1, -1)
"""Before every event."""


class Retried(msgspec.Struct, frozen=True):
    """That an operator had the event appended again: to which partition, and at which offset, None while in doubt."""

    at: str
    by: str
    partition: int
    offset: int | None


class Skipped(msgspec.Struct, frozen=True):
    """That an operator gave the event up, and why."""

    at: str
    by: str
    reason: str


class ParkedRow(msgspec.Struct, frozen=True):
    """An event that could not be applied. `resolved_by` is the offset of the later event that took its place."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    reason: str
    value_bytes: int | None
    parked_at: str
    resolved_by: int | None
    retried: Retried | None
    skipped: Skipped | None


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


def _instant(value: str) -> str:
    """SQL for a time as RFC 3339."""
    return f"""to_char({value} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


_MEMBERS = f"""
    'topic', topic, 'partition', partition, 'offset', "offset", 'reason', reason, 'resolved_by', resolved_by,
    'key', {_base64(f"substring(key FROM 1 FOR {KEY_SHOWN})")}, 'value_bytes', length(value),
    'parked_at', {_instant("parked_at")}, 'retried', retried, 'skipped', skipped
"""
_DECIDED = f"""
    LEFT JOIN LATERAL (
        SELECT
            CASE WHEN d.retried_at IS NOT NULL THEN json_build_object('at', {_instant("d.retried_at")},
                'by', d.retried_by, 'partition', d.retried_into, 'offset', d.retried_as) END AS retried,
            CASE WHEN d.skipped_at IS NOT NULL THEN json_build_object('at', {_instant("d.skipped_at")},
                'by', d.skipped_by, 'reason', d.skipped_because) END AS skipped
        FROM nenrin.decisions d JOIN {{schema}}.positions o USING (topic, partition, incarnation)
        WHERE d.projection = '{{projection}}' AND d.topic = p.topic AND d.partition = p.partition
            AND d."offset" = p."offset"
    ) AS decided ON true
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
            WHERE {UNRESOLVED} AND (topic, partition, "offset") > ($1, $2, $3)
            ORDER BY topic, partition, "offset" LIMIT $4
        ) AS p {_decided(generation)}
    )"""


def _one(generation: Generation) -> str:
    return f"""rows AS (
        SELECT 1 AS n, json_build_object({_MEMBERS}, {_CONTENT}) AS body, NULL AS traceparent
        FROM {generation.schema}.parked p {_decided(generation)}
        WHERE topic = $1 AND partition = $2 AND "offset" = $3
    )"""


def _decided(generation: Generation) -> str:
    return _DECIDED.format(schema=generation.schema, projection=generation.projection)

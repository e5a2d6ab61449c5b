"""Rows as Postgres' binary COPY takes them, made once and kept as bytes until it is known whether they last.

Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format". asyncpg's own encoder makes the same
from records, but only into a COPY that is under way.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import JSON, BigInteger, Column, DateTime, Integer, Text
from sqlalchemy.types import UserDefinedType

from schemas.errors import DataRefused

HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TAIL = b"\xff\xff"

_NULL = b"\xff\xff\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_size = struct.Struct("!i").pack
_int4 = struct.Struct("!ii").pack
_int8 = struct.Struct("!iq").pack

Rows = Sequence[Sequence[Any]]
Fields = Callable[[Sequence[Any]], Iterable[bytes]]
"""What makes the values of one column into bytes."""


def encoder(columns: Sequence[Column[Any]]) -> Callable[[Rows], list[bytes]]:
    """A function that makes rows of these columns into bytes; it raises `DataRefused` for what they can't hold."""
    count = struct.pack("!h", len(columns))
    fields = [_fields(column.type) for column in columns]

    def encode(rows: Rows) -> list[bytes]:
        try:
            made = [_column(field, values) for field, values in zip(fields, zip(*rows, strict=True), strict=bool(rows))]
        except (UnicodeEncodeError, struct.error) as error:
            raise DataRefused(str(error)) from error
        return [count + b"".join(row) for row in zip(*made, strict=True)]

    return encode


def _column(field: Fields, values: Sequence[Any]) -> Iterable[bytes]:
    """A value that is the same in all of the rows, as in every other column, is made only once."""
    if values.count(values[0]) == len(values):
        return [*field(values[:1])] * len(values)
    return field(values)


def _fields(type_: object) -> Fields:
    match type_:
        case BigInteger():
            return lambda values: [_NULL if value is None else _int8(8, value) for value in values]
        case Integer():
            return lambda values: [_NULL if value is None else _int4(4, value) for value in values]
        case Text() | JSON():
            return _texts
        case DateTime(timezone=True):
            return lambda values: [_NULL if value is None else _int8(8, _microseconds(value)) for value in values]
        case UserDefinedType() if type_.get_col_spec().startswith("halfvec"):
            return _vectors
    raise TypeError(f"no binary form is known here for {type_!r}")


def _texts(values: Sequence[str | None]) -> list[bytes]:
    return [_NULL if value is None else _size(len(raw := value.encode())) + raw for value in values]


def _microseconds(value: datetime) -> int:
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _vectors(values: Sequence[bytes]) -> list[bytes]:
    """pgvector's binary halfvec: 16-bit dimensions, 16 bits that it keeps for later, big-endian float16."""
    swapped = np.frombuffer(b"".join(values), dtype="<u2").byteswap().tobytes()
    fields, at = [], 0
    for value in values:
        size = len(value)
        fields.append(_size(4 + size) + struct.pack("!hxx", size // 2) + swapped[at : at + size])
        at += size
    return fields

"""Comparing what two generations hold, row by row, without reading either whole: by bisection over the order of keys.

Rows are hashed anew from all their columns, in Postgres; the hashes that a generation keeps are columns among others.
Each side is read over a connection of its own, so that each can be a snapshot of its own moment.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import msgspec

from projections.database import translated

LEAF = 64
"""Rows of a range that are fetched, as key and hash, instead of halving it further."""

_TYPES = """
SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0
"""
_SUM = "SELECT count(*) AS rows, coalesce(sum({hash}), 0) AS hashes FROM {table} t WHERE {range}"
_MIDDLE = "SELECT {keys} FROM {table} t WHERE {range} ORDER BY {keys} OFFSET {offset} LIMIT 1"
_LEAF = "SELECT {keys}, {hash} AS hash FROM {table} t WHERE {range} ORDER BY {keys}"
_COLUMNS = "SELECT {columns} FROM {table} t WHERE ({keys}) = ({values})"

Key = tuple[Any, ...]


class Side(msgspec.Struct, frozen=True):
    """A generation's schema, as a connection sees it."""

    connection: asyncpg.Connection
    schema: str


class Compared(msgspec.Struct, frozen=True):
    """A table that two generations have, by its key, and the columns in which they should agree."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]


class Difference(msgspec.Struct, frozen=True):
    """A row that the two sides don't have alike. `how`: "missing" on the right, "extra" there, or which columns."""

    table: str
    key: Key
    how: str

    @property
    def document(self) -> tuple[str, str]:
        """Collection and id of the row's document."""
        return self.key[0], self.key[1]


class _Range(msgspec.Struct, frozen=True):
    """Keys above `low` up to and with `high`; None: without a bound."""

    low: Key | None = None
    high: Key | None = None


class _Sum(msgspec.Struct, frozen=True):
    """Of the rows in a range: their number, and their hashes."""

    rows: int
    hashes: int

    def without(self, other: "_Sum") -> "_Sum":
        """That of the rest of a range, where `other` is that of a part."""
        return _Sum(self.rows - other.rows, self.hashes - other.hashes)


async def differences(left: Side, right: Side, compared: Compared) -> AsyncIterator[Difference]:
    """The rows that differ, in the order of keys. Where nothing does, each side is read once. Raises `DatabaseAway`."""
    with translated():
        hashes = await _hashed(left, compared), await _hashed(right, compared)
        sides = _Sided(left, compared, hashes[0]), _Sided(right, compared, hashes[1])
        left_to_do = [(_Range(), await sides[0].sum(_Range()), await sides[1].sum(_Range()))]
        while left_to_do:
            range_, *sums = left_to_do.pop()
            if sums[0] == sums[1]:
                continue
            if max(each.rows for each in sums) <= LEAF:
                async for difference in _in_leaf(*sides, range_):
                    yield difference
                continue
            larger = 0 if sums[0].rows >= sums[1].rows else 1
            middle = await sides[larger].middle(range_, sums[larger].rows)
            lower, upper = _Range(range_.low, middle), _Range(middle, range_.high)
            below = [await side.sum(lower) for side in sides]  # what lies above is the rest
            left_to_do.append((upper, sums[0].without(below[0]), sums[1].without(below[1])))
            left_to_do.append((lower, below[0], below[1]))


async def _hashed(side: Side, compared: Compared) -> dict[str, str]:
    """SQL for each column as text or bytes: vectors bit by bit, everything else as it is written."""
    types = dict(await side.connection.fetch(_TYPES, f"{side.schema}.{compared.table}"))
    return {
        name: f'halfvec_send(t."{name}")' if types.get(name) == "halfvec" else f't."{name}"::text'
        for name in compared.columns
    }


class _Sided:
    """One side's table, and the statements about it."""

    def __init__(self, side: Side, compared: Compared, columns: dict[str, str]) -> None:
        self.compared = compared
        self._connection = side.connection
        self._columns = columns
        self._names = {
            "table": f"{side.schema}.{compared.table}",
            "keys": ", ".join(f't."{name}"' for name in compared.key),
            "hash": f"hash_record_extended(ROW({', '.join(columns.values())}), 0)",
        }

    async def sum(self, range_: _Range) -> _Sum:
        condition, values = self._within(range_)
        row = await self._connection.fetchrow(_SUM.format(range=condition, **self._names), *values)
        return _Sum(row["rows"], int(row["hashes"]))

    async def middle(self, range_: _Range, rows: int) -> Key:
        """The key of the row in the middle: some lie above it."""
        condition, values = self._within(range_)
        sql = _MIDDLE.format(range=condition, offset=rows // 2 - 1, **self._names)
        return tuple(await self._connection.fetchrow(sql, *values))

    async def leaf(self, range_: _Range) -> dict[Key, int]:
        condition, values = self._within(range_)
        rows = await self._connection.fetch(_LEAF.format(range=condition, **self._names), *values)
        return {tuple(row)[:-1]: row["hash"] for row in rows}

    async def row(self, key: Key) -> dict[str, str]:
        """Each column of a row, hashed."""
        columns = ", ".join(f'md5({sql}) AS "{name}"' for name, sql in self._columns.items())
        names = self._names | {"values": ", ".join(f"${number}" for number in range(1, len(key) + 1))}
        return dict(await self._connection.fetchrow(_COLUMNS.format(columns=columns, **names), *key))

    def _within(self, range_: _Range) -> tuple[str, Key]:
        conditions, values = ["true"], list[Any]()
        for sign, bound in ((">", range_.low), ("<=", range_.high)):
            if bound is not None:
                numbers = ", ".join(f"${len(values) + number}" for number in range(1, len(bound) + 1))
                conditions.append(f"({self._names['keys']}) {sign} ({numbers})")
                values += bound
        return " AND ".join(conditions), tuple(values)


async def _in_leaf(left: _Sided, right: _Sided, range_: _Range) -> AsyncIterator[Difference]:
    here, there = await left.leaf(range_), await right.leaf(range_)
    table = left.compared.table
    for key in sorted(here.keys() | there.keys()):
        if key not in there:
            yield Difference(table, key, "missing")
        elif key not in here:
            yield Difference(table, key, "extra")
        elif here[key] != there[key]:
            one, other = await left.row(key), await right.row(key)
            yield Difference(table, key, ", ".join(name for name in one if one[name] != other[name]))


def key_of(table: str, tables: Sequence[str]) -> tuple[str, ...]:
    """The key of a read model's table: that of its first one is the document's, the others number their rows."""
    return ("collection", "document_id") if table == tables[0] else ("collection", "document_id", "ordinal")

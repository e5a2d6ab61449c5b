"""What a generation holds, as it keeps account of it in its digests, and as its rows say."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from projections.database import translated
from projections.digests import MODULUS, Tally
from projections.generations.comparing import Side, key_of
from projections.port import ReadModel

ROWS_AT_ONCE = 64
"""Rows that are held in memory, of each table: a text may have a megabyte."""

_KEPT = "SELECT partition, collection, documents, passages, content, vectors FROM {schema}.digests"
_FIRST = "SELECT {columns}, partition, {tallied} FROM {schema}.{table} ORDER BY {key}"
_OTHER = "SELECT {columns} FROM {schema}.{table} ORDER BY {key}"

Tallies = Mapping[tuple[int, str], Tally]
"""By partition and collection; what holds nothing is left out."""


class Audit(msgspec.Struct, frozen=True):
    """What the rows of a generation add up to, hashed anew.

    `documents`: the first of those whose rows are not what the hashes kept with them say; `orphans`: rows of other
    tables whose document is missing in the first one.
    """

    tallies: Tallies
    documents: Sequence[tuple[str, str]]
    orphans: Sequence[tuple[str, str]]


class _Document(msgspec.Struct):
    key: tuple[str, str]
    partition: int
    kept: Tally
    rows: dict[str, list[Sequence[Any]]]


async def kept(side: Side) -> Tallies:
    """The digests of a generation. Raises `DatabaseAway`."""
    with translated():
        rows = await side.connection.fetch(_KEPT.format(schema=side.schema))
    found = {(row[0], row[1]): Tally(row[2], row[3], int(row[4]), int(row[5])) for row in rows}
    return {where: tally for where, tally in found.items() if tally != Tally()}


def by_collection(tallies: Tallies) -> dict[str, Tally]:
    """The same over all partitions."""
    found: dict[str, Tally] = {}
    for (_, collection), tally in tallies.items():
        found[collection] = found.get(collection, Tally()).plus(tally)
    return found


async def audit(side: Side, model: ReadModel, limit: int) -> Audit:
    """Read every row once, in the order of keys, and hash it anew. The connection is in a transaction.

    Names at most `limit` documents. Memory: `ROWS_AT_ONCE` rows of each table. Raises `DatabaseAway`.
    """
    tallies: dict[tuple[int, str], Tally] = {}
    wrong: list[tuple[str, str]] = []
    orphans: list[tuple[str, str]] = []
    with translated():
        async for document in _documents(side, model, orphans):
            content, vectors = model.hashes(document.rows)
            pieces = sum(len(document.rows[table]) for table in model.tables[1:])
            found = Tally(1, pieces, content, vectors)
            where = document.partition, document.key[0]
            tallies[where] = tallies.get(where, Tally()).plus(found)
            if found != document.kept and len(wrong) < limit:
                wrong.append(document.key)
    return Audit(tallies, wrong, orphans[:limit])


async def _documents(side: Side, model: ReadModel, orphans: list[tuple[str, str]]) -> AsyncIterator[_Document]:
    """Documents with their rows in the other tables; what belongs to none is put down in `orphans`."""
    first, *others = model.tables
    readers = {table: _Reader(_rows(side, model, table)) for table in others}
    width = len(model.columns(first))
    async for row in _rows(side, model, first):
        key, (partition, pieces, content, vectors) = (row[0], row[1]), row[width:]
        kept_ = Tally(1, pieces, content % MODULUS, vectors % MODULUS)
        rows = {table: await reader.of(key, orphans) for table, reader in readers.items()}
        yield _Document(key, partition, kept_, {first: [row[:width]], **rows})
    for reader in readers.values():
        await reader.rest(orphans)


async def _rows(side: Side, model: ReadModel, table: str) -> AsyncIterator[tuple[Any, ...]]:
    first = model.tables[0]
    sql = (_FIRST if table == first else _OTHER).format(
        columns=", ".join(f'"{name}"' for name in model.columns(table)),
        tallied=model.tallied,
        schema=side.schema,
        table=table,
        key=", ".join(f'"{name}"' for name in key_of(table, model.tables)),
    )
    async for row in side.connection.cursor(sql, prefetch=ROWS_AT_ONCE):
        yield tuple(row)


class _Reader:
    """Rows in the order of keys, handed out document by document."""

    def __init__(self, rows: AsyncIterator[tuple[Any, ...]]) -> None:
        self._rows = rows
        self._next: tuple[Any, ...] | None = None

    async def of(self, key: tuple[str, str], orphans: list[tuple[str, str]]) -> list[Sequence[Any]]:
        """The rows of a document; those before it have none."""
        found: list[Sequence[Any]] = []
        while (row := await self._peek()) is not None and (row[0], row[1]) <= key:
            if (row[0], row[1]) == key:
                found.append(row)
            else:
                _note(orphans, row)
            self._next = None
        return found

    async def rest(self, orphans: list[tuple[str, str]]) -> None:
        """Rows behind the last document."""
        while (row := await self._peek()) is not None:
            _note(orphans, row)
            self._next = None

    async def _peek(self) -> tuple[Any, ...] | None:
        if self._next is None:
            self._next = await anext(self._rows, None)
        return self._next


def _note(orphans: list[tuple[str, str]], row: Sequence[Any]) -> None:
    """Once a document, and not without end."""
    key = row[0], row[1]
    if key not in orphans[-1:] and len(orphans) < ROWS_AT_ONCE:
        orphans.append(key)

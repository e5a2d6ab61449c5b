"""A stretch of one partition, as it will be written: the last word on each document that occurs in it.

What an event makes is turned into rows at once and put aside on disk; which of it lasts is known at the stretch's end.
Kept in memory are 16 bytes for each event, and 8 for each table, whatever is in it. Of a finished stretch, it is where
in its files the rows lie that last.
"""

import os
import tempfile
from array import array
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import IO, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, Table

from projections import copying, positions
from projections.parking import Settled
from projections.port import Entry, Folded, Nothing, ReadModel
from projections.positions import Position
from schemas.errors import NenrinError

EVENTS = 2**18
BYTES = 512 * 1024 * 1024
PARKED_BYTES = 16 * 1024 * 1024
"""At most so much in a stretch: of events, of rows on disk, and of parked events in memory."""
KEY = ("collection", "document_id")
CHUNK = 1024 * 1024
"""Bytes that are handed to Postgres together."""

_DIGEST = 16


class DiskFull(NenrinError):
    """There is no room for the rows of a segment; the message says where. `TMPDIR` names another place."""


Encode = Callable[[Sequence[Sequence[Any]]], list[bytes]]


class Spool:
    """The rows of one table, of one folded document after the other."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # until the segment is closed
        self._ends = array("Q")
        self.size = 0

    def add(self, documents: Sequence[Sequence[Sequence[Any]]]) -> None:
        """Put the rows of each document aside. Raises `DataRefused`."""
        pieces = self._encode([row for rows in documents for row in rows])
        sizes = accumulate(map(len, pieces), initial=self.size)
        ends = list(sizes)
        self._ends.extend(ends[number] for number in accumulate(map(len, documents)))
        try:
            self._file.write(b"".join(pieces))
        except OSError as error:
            raise DiskFull(f"{tempfile.gettempdir()}, where a load puts rows aside, takes no more: {error}") from error
        self.size = ends[-1]

    def finish(self, lasting: NDArray[np.int64]) -> "Rows":
        """The rows of some of the documents, which are named by their numbers, in order. The file goes with them."""
        self._file.flush()
        ends = np.frombuffer(self._ends, dtype=np.uint64)[lasting]
        begins = np.frombuffer(array("Q", [0]) + self._ends, dtype=np.uint64)[lasting]
        # the rows of neighbours are one piece
        whole = begins[1:] != ends[:-1]
        first, last = np.append(True, whole)[: len(begins)], np.append(whole, True)[: len(ends)]
        return Rows(self._file, begins[first], ends[last])

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class Rows(msgspec.Struct, frozen=True):
    """Rows of one table, as they lie in a file: from each of `begins` to the one of `ends` beside it."""

    file: IO[bytes]
    begins: NDArray[np.uint64]
    ends: NDArray[np.uint64]

    async def copied(self) -> AsyncIterator[bytes]:
        """A binary COPY of them, `CHUNK` bytes or a little more at a time."""
        held, size = [copying.HEAD], 0
        for piece in self._pieces():
            held.append(piece)
            size += len(piece)
            if size >= CHUNK:
                yield b"".join(held)
                held, size = [], 0
        yield b"".join([*held, copying.TAIL])

    def _pieces(self) -> Iterator[bytes]:
        """The rows, in order. Most lie between others that don't last, so the file is read in larger blocks."""
        block, at = b"", 0
        for begin, end in zip(self.begins.tolist(), self.ends.tolist(), strict=True):
            while begin < end:
                if begin >= at + len(block):
                    block, at = os.pread(self.file.fileno(), CHUNK, begin), begin
                    if not block:
                        raise EOFError("a file of rows that were put aside ends before they do")
                piece = block[begin - at : end - at]
                yield piece
                begin += len(piece)  # noqa: PLW2901  (the rest of it is in the next block)


class Finished(msgspec.Struct, frozen=True):
    """A segment as it is written: its rows by table; `names` of documents, where it can supersede any.

    `only` is its one entry, where it has no more.
    """

    partition: int
    before: Position
    after: Position
    entries: int
    only: Entry | None
    parked: list[Settled]
    names: Rows | None
    rows: dict[str, Rows]

    @property
    def is_apart(self) -> bool:
        """Whether it neither supersedes what is written nor parks anything: its rows have to do with no others."""
        return self.names is None and not self.parked

    def close(self) -> None:
        """Let go of its files."""
        for rows in (*self.rows.values(), *([self.names] if self.names else ())):
            rows.file.close()


class Segment:
    """A stretch of one partition that begins at `before`, while it is made."""

    def __init__(
        self, model: ReadModel, tables: Sequence[Table], partition: int, before: Position, *, is_first: bool
    ) -> None:
        """`tables`: those of the model. `is_first`: nothing of the partition is written that it could supersede."""
        self.partition = partition
        self.before = self.after = before
        self.entries = 0
        self.only: Entry | None = None
        """Its one entry, where it has no more."""
        self.parked: list[Settled] = []
        self._parked_bytes = 0
        self._model = model
        self._keys = bytearray()
        self.names = None if is_first else Spool(copying.encoder(_columns(tables[0], KEY)))
        self.rows = {
            table.name: Spool(copying.encoder(_columns(table, self._model.columns(table.name)))) for table in tables
        }

    @property
    def is_full(self) -> bool:
        """Whether it is time to write it, however few events it has."""
        return self.size >= BYTES or self._parked_bytes >= PARKED_BYTES

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(spool.size for spool in self._spools())

    def add(self, entries: Sequence[Entry], settled: Settled) -> None:
        """Add what continues it. `settled` is what became of `entries`. Raises `DataRefused`."""
        self.entries += len(entries)
        self.only = entries[0] if len(entries) == self.entries == 1 else None
        self.after = positions.after(self.after, entries)
        self._fold(self._model.evolve(settled.entries))
        if settled.rows or settled.resolved:
            # of the batch itself only the place: this is kept until the segment is written
            place = Entry(settled.entries[0].place, Nothing())
            self.parked.append(Settled([place], settled.rows, settled.resolved))
            self._parked_bytes += sum(_size(row.entry) for row in settled.rows)

    def _fold(self, folded: Sequence[Folded]) -> None:
        self._keys += b"".join(_key(item) for item in folded)
        if self.names is not None:
            self.names.add([((item.collection, item.document_id),) for item in folded])
        for table, spool in self.rows.items():
            spool.add([item.rows.get(table, ()) for item in folded])

    def finish(self) -> Finished:
        """As it is written. Its files go with it."""
        lasting = self._lasting()
        names = None if self.names is None else self.names.finish(lasting)
        rows = {table: spool.finish(lasting) for table, spool in self.rows.items()}
        return Finished(self.partition, self.before, self.after, self.entries, self.only, self.parked, names, rows)

    def _lasting(self) -> NDArray[np.int64]:
        """The numbers of the folded documents that nothing in the segment supersedes, in their order."""
        keys = np.frombuffer(self._keys, dtype=np.dtype((np.void, _DIGEST)))
        _, first = np.unique(keys[::-1], return_index=True)
        return np.sort(len(keys) - 1 - first)

    def close(self) -> None:
        """Let go of its files."""
        for spool in self._spools():
            spool.close()

    def _spools(self) -> Iterator[Spool]:
        yield from self.rows.values()
        if self.names is not None:
            yield self.names


def _columns(table: Table, names: Sequence[str]) -> list[Column[Any]]:
    return [table.columns[name] for name in names]


def _key(folded: Folded) -> bytes:
    """What a document is known by here: 128 bits of BLAKE2b (RFC 7693). A collection has no slash."""
    return blake2b(f"{folded.collection}/{folded.document_id}".encode(), digest_size=_DIGEST).digest()


def _size(entry: Entry) -> int:
    return (
        512
        + len(entry.key or b"")
        + len(entry.value or b"")
        + sum(64 + len(value or b"") for _, value in entry.headers)
    )

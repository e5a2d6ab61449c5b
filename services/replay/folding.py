"""Folding the log into segments: each event is judged, folded and encoded once, as the projector's `Writer` does it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterator, Mapping, Sequence

import msgspec
from sqlalchemy import Table

from projections import parking
from projections.parking import Settled, Standing
from projections.port import Entry, ReadModel
from projections.positions import Position, continuing
from schemas.errors import DataRefused
from services.replay.narrowing import Narrowing, Refused
from services.replay.segments import Finished, Segment


class Full(Exception):
    """There is no room to park `entry`; what comes before it was in the segment before."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(str(entry.place))
        self.entry = entry


class Folding:
    """Makes segments of entries that continue `positions`, and moves these.

    `begins` is where nothing was written yet; `standings` say by partition what is parked.
    """

    def __init__(  # noqa: PLR0913, PLR0917  (what a fold hangs on)
        self,
        model: ReadModel,
        tables: Sequence[Table],
        begins: Mapping[int, Position],
        positions: Mapping[int, Position],
        standings: Mapping[int, Standing],
        narrowing: Narrowing,
    ) -> None:
        self.positions = dict(positions)
        self._model = model
        self._tables = tables
        self._begins = begins
        self._standings = dict(standings)
        self._narrowing = narrowing

    async def segments(self, batches: AsyncIterable[Sequence[Entry]]) -> AsyncGenerator[Finished]:
        """One after the other, each finished; who gets it closes it. A batch is of one partition.

        Raises `Gap`, `Refused`, and `Full` once everything before the event that there is no room for was yielded.
        """
        segment: Segment | None = None
        try:
            async for batch in batches:
                for piece in self._cut(batch):
                    partition = piece[0].place.partition
                    if segment is not None and (segment.partition != partition or self._is_full(segment)):
                        finished, segment = await asyncio.to_thread(segment.finish), None
                        yield finished
                    if segment is None:
                        segment = self._begin(partition)
                    beyond = await self._add(segment, piece)
                    if beyond is not None:
                        finished, segment = await asyncio.to_thread(segment.finish), None
                        yield finished
                        raise Full(beyond)
            if segment is not None:
                finished, segment = await asyncio.to_thread(segment.finish), None
                yield finished
        finally:
            if segment is not None:
                segment.close()

    def _cut(self, batch: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
        """No piece is longer than a segment may be."""
        first = 0
        while first < len(batch):
            limit = self._narrowing.limit
            yield batch[first : first + limit]
            first += limit

    def _begin(self, partition: int) -> Segment:
        at = self.positions[partition]
        return Segment(self._model, self._tables, partition, at, is_first=at == self._begins[partition])

    def _is_full(self, segment: Segment) -> bool:
        return segment.is_full or segment.entries >= self._narrowing.limit

    async def _add(self, segment: Segment, batch: Sequence[Entry]) -> Entry | None:
        """Add up to the first entry that there is no room to park; returns that."""
        partition = segment.partition
        if amended := self._narrowing.amended:
            batch = [amended.get((partition, entry.place.offset), entry) for entry in batch]
        fresh = continuing(segment.after, batch)
        settled = self._settle(partition, fresh)
        beyond = next(iter(fresh[len(settled.entries) :]), None)
        if beyond is not None:
            batch = fresh[: len(settled.entries)]
        try:
            await asyncio.to_thread(segment.add, batch, settled)
        except DataRefused as refusal:
            raise Refused(segment, refusal) from refusal
        self.positions[partition] = segment.after
        return beyond

    def _settle(self, partition: int, fresh: Sequence[Entry]) -> Settled:
        """What becomes of each event; the room for parked ones is one for all partitions."""
        standing, order = self._standings[partition], self._model.order
        if parking.is_settled(fresh, order, standing):
            return Settled(list(fresh), [], {})
        settled = parking.settle(fresh, order, standing)
        behind = parking.after(standing, settled)
        for each, other in self._standings.items():
            self._standings[each] = msgspec.structs.replace(other, room=behind.room)
        self._standings[partition] = behind
        return settled

"""Which segments are written beside each other, over which connection, and what becomes of them when one fails."""

import asyncio
from typing import cast

import asyncpg
import pytest

from projections.parking import Settled
from projections.positions import Position
from services.replay.segments import Finished
from services.replay.writing import Writing

FIRST, SECOND = cast(asyncpg.Connection, "first"), cast(asyncpg.Connection, "second")


class Database:
    """Takes segments, each until it is told that it is written, or that it failed."""

    def __init__(self) -> None:
        self.under_way: dict[int, asyncpg.Connection] = {}
        self._ends: dict[int, asyncio.Future[None]] = {}

    async def write(self, connection: asyncpg.Connection, segment: Finished) -> None:
        """As `Filling` does it."""
        self.under_way[segment.partition] = connection
        self._ends[segment.partition] = asyncio.get_running_loop().create_future()
        try:
            await self._ends[segment.partition]
        finally:
            del self.under_way[segment.partition]

    def end(self, partition: int, failure: Exception | None = None) -> None:
        """Have it be written, or fail."""
        if failure is None:
            self._ends[partition].set_result(None)
        else:
            self._ends[partition].set_exception(failure)


def segment(partition: int, *, parks: bool = False) -> Finished:
    """One that can be written beside others, or one that parks something."""
    parked = [Settled([], [], {})] if parks else []
    return Finished(partition, Position(0, 0), Position(9, 9), 9, None, parked, None, {})


async def settled(waiting: asyncio.Task[None]) -> bool:
    """Whether it is done once everything that can go on has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)
    return waiting.done()


async def test_as_many_as_there_are_connections_are_written_at_once() -> None:
    """The third one waits, whichever of the two ends."""
    there = Database()
    writing = Writing([FIRST, SECOND], there.write)
    await writing.begin(segment(0))
    await writing.begin(segment(1))
    third = asyncio.create_task(writing.begin(segment(2)))
    assert not await settled(third)
    assert there.under_way == {0: FIRST, 1: SECOND}
    there.end(0)
    assert await settled(third)
    await asyncio.sleep(0)
    assert there.under_way == {2: FIRST, 1: SECOND}
    there.end(1)
    there.end(2)
    await writing.end()
    assert not there.under_way


async def test_what_has_to_do_with_others_is_written_alone() -> None:
    """It waits for all before it, and those behind it wait."""
    there = Database()
    writing = Writing([FIRST, SECOND], there.write)
    await writing.begin(segment(0))
    alone = asyncio.create_task(writing.begin(segment(1, parks=True)))
    assert not await settled(alone)
    there.end(0)
    assert await settled(alone)
    behind = asyncio.create_task(writing.begin(segment(2)))
    assert not await settled(behind)
    assert there.under_way == {1: FIRST}
    there.end(1)
    assert await settled(behind)
    there.end(2)
    await writing.end()


async def test_what_failed_is_told_and_the_other_ends_by_itself() -> None:
    """A transaction that is under way beside it is waited for, not broken off."""
    there = Database()
    writing = Writing([FIRST, SECOND], there.write)
    await writing.begin(segment(0))
    await writing.begin(segment(1))
    await asyncio.sleep(0)
    there.end(1, ValueError("refused"))
    with pytest.raises(ValueError, match="refused"):
        await writing.end()
    abandoning = asyncio.create_task(writing.abandon())
    assert not await settled(abandoning)
    assert there.under_way == {0: FIRST}
    there.end(0)
    assert await settled(abandoning)

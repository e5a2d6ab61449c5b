"""Finished segments on their way into the database: one at a time, or several where none has to do with another."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from services.replay.segments import Finished

Write = Callable[[asyncpg.Connection, Finished], Awaitable[None]]


class Writing:
    """Writes segments over `connections`; what has to be written alone goes over the first of them."""

    def __init__(self, connections: Sequence[asyncpg.Connection], write: Write) -> None:
        self._connections = connections
        self._write = write
        self._running: dict[asyncio.Task[None], tuple[asyncpg.Connection, Finished]] = {}

    async def begin(self, segment: Finished) -> None:
        """Begin to write a segment, once those are written that it has to wait for. Raises what failed among them."""
        while self._running and not self._may_join(segment):
            await self._wait()
        busy = [connection for connection, _ in self._running.values()]
        connection = next(each for each in self._connections if each not in busy)
        self._running[asyncio.ensure_future(self._write(connection, segment))] = connection, segment

    def _may_join(self, segment: Finished) -> bool:
        is_room = len(self._running) < len(self._connections)
        return is_room and segment.is_apart and all(other.is_apart for _, other in self._running.values())

    async def end(self) -> None:
        """Wait until all is written. Raises what failed."""
        while self._running:
            await self._wait()

    async def _wait(self) -> None:
        done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            del self._running[task]
        if failures := [failure for task in done if (failure := task.exception()) is not None]:
            raise failures[0]

    async def abandon(self) -> None:
        """Whatever went wrong elsewhere: let the transactions end, one way or the other."""
        await asyncio.gather(*self._running, return_exceptions=True)

    def cancel(self) -> None:
        """Break off what is being written."""
        for task in self._running:
            task.cancel()

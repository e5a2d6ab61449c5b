"""Connections for reading: opened when they are first needed, the one used last taken first, thrown away when broken.

asyncpg's own pool spends a task, a timer and a proxy on each use, together more than the query itself costs here
(docs/decisions/0021-hot-path.md). Reads change nothing about a session, so that there is nothing to reset between two.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from projections.database import translated
from schemas.errors import DatabaseAway

WITHIN = 5.0
"""Seconds to wait for a connection while all are in use, and for a broken one to end."""

Connect = Callable[[], Awaitable[asyncpg.Connection]]


class Connections:
    """At most `most` connections, each made by `connect`."""

    def __init__(self, connect: Connect, most: int) -> None:
        self._connect = connect
        self._places = asyncio.Semaphore(most)
        self._open: set[asyncpg.Connection] = set()
        self._idle: list[asyncpg.Connection] = []
        self._ending: dict[asyncio.Task[None], asyncpg.Connection] = {}
        self._away: DatabaseAway | None = None

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        """Run a statement. Raises what `translated` makes of the driver's errors; `DatabaseAway` when none is free."""
        self._refuse_if_away()
        with translated():
            await self._place()
            try:
                self._refuse_if_away()  # whoever waited for a place need not wait for a connection too
                return await self._run(sql, values)
            finally:
                self._places.release()

    def _refuse_if_away(self) -> None:
        if self._away is not None:
            raise DatabaseAway(str(self._away))

    async def _place(self) -> None:
        if not self._places.locked():
            await self._places.acquire()  # at once, and without the cost of a timer
            return
        try:
            async with asyncio.timeout(WITHIN):
                await self._places.acquire()
        except TimeoutError as error:
            raise DatabaseAway(f"no connection came free within {WITHIN:g} s") from error

    async def _run(self, sql: str, values: tuple[Any, ...]) -> list[asyncpg.Record]:
        connection = self._used_last() or await self._another()
        try:
            found: list[asyncpg.Record] = await connection.fetch(sql, *values)
        except asyncpg.PostgresError:  # Postgres' own answer: the connection is as good as before, unless it closed it
            self._idle.append(connection)
            raise
        except BaseException:
            self._discard(connection)
            raise
        self._idle.append(connection)
        return found

    def _used_last(self) -> asyncpg.Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._open.discard(connection)
        return None

    async def _another(self) -> asyncpg.Connection:
        connection = await self._connect()
        self._open.add(connection)
        return connection

    def _discard(self, connection: asyncpg.Connection) -> None:
        """End a connection whose query was given up; the query is cancelled first, so that it doesn't go on."""
        self._open.discard(connection)
        ending = asyncio.ensure_future(_end(connection))
        self._ending[ending] = connection
        ending.add_done_callback(self._ending.pop)

    def away(self, why: DatabaseAway | None) -> None:
        """Postgres doesn't answer: end what waits for it, and refuse everything at once. None: it does."""
        self._away = why
        if why is not None:
            self.terminate()

    async def close(self) -> None:
        """Close all of them now, and return when none is left."""
        self.terminate()
        for connection in self._ending.values():
            connection.terminate()
        while self._ending:
            await asyncio.wait(self._ending)

    def terminate(self) -> None:
        """Close all of them now, but for those that end already."""
        for connection in self._open:
            connection.terminate()
        self._open.clear()
        self._idle.clear()


async def _end(connection: asyncpg.Connection) -> None:
    try:
        await connection.close(timeout=WITHIN)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        connection.terminate()

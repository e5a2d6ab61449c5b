"""Whether Postgres answers, asked ever again over a connection of its own.

A server that is frozen, or behind a network that swallows packets, still takes connections and questions: only time
tells. With this not every reader has to wait for that.
"""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

from projections.database import translated
from schemas.errors import DatabaseAway, NenrinError

EVERY = 0.5
WITHIN = 3.0
"""Seconds in which the smallest question is answered, or Postgres is away."""

Connect = Callable[[], Awaitable[asyncpg.Connection]]
Changed = Callable[[DatabaseAway | None], None]


class Pulse:
    """Asks over connections made by `connect`; tells `changed` why Postgres is away, or None when it answers."""

    def __init__(self, connect: Connect, changed: Changed) -> None:
        self._connect = connect
        self._changed = changed
        self._connection: asyncpg.Connection | None = None

    async def feel(self) -> None:
        """Ask for ever."""
        try:
            while True:
                self._changed(await self._asked())
                await asyncio.sleep(EVERY)
        finally:
            self._hang_up()

    async def _asked(self) -> DatabaseAway | None:
        try:
            with translated():
                async with asyncio.timeout(WITHIN):
                    await self._ask()
        except DatabaseAway as error:
            self._hang_up()
            return error
        except (NenrinError, asyncpg.PostgresError):
            self._hang_up()  # it said something, so it is there
        return None

    async def _ask(self) -> None:
        if self._connection is None:
            self._connection = await self._connect()
        await self._connection.fetchval("SELECT 1")

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

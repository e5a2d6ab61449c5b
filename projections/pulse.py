"""Whether Postgres answers, asked ever again over a connection of its own.

A server that is frozen, or behind a network that swallows packets, still takes connections and questions: only time
tells. With this not every reader has to wait for that.
"""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

from schemas.errors import DatabaseAway, NenrinError

EVERY = 0.5
WITHIN = 3.0
"""Seconds in which the smallest question is answered, or Postgres is away."""

Connect = Callable[[], Awaitable[asyncpg.Connection]]
Changed = Callable[[DatabaseAway | None], None]

# Whatever fails at once is told to every reader too, as soon; one connection that ended says nothing of the others.
_SAID = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, NenrinError)


class Pulse:
    """Asks over connections made by `connect`; tells `changed` that Postgres is silent, or None when it isn't."""

    def __init__(self, connect: Connect, changed: Changed) -> None:
        self._connect = connect
        self._changed = changed
        self._connection: asyncpg.Connection | None = None

    async def feel(self) -> None:
        """Ask for ever."""
        try:
            while True:
                answered = await self._answered()
                self._changed(None if answered else DatabaseAway(f"Postgres: no answer in {WITHIN:g} s"))
                await asyncio.sleep(EVERY)
        finally:
            self._hang_up()

    async def _answered(self) -> bool:
        asking = asyncio.ensure_future(self._ask())
        try:
            await asyncio.wait({asking}, timeout=WITHIN)
            if asking.done():  # after a freeze of this very process both may be true: what has come counts
                return asking.result()
        finally:
            asking.cancel()
        self._hang_up()
        return False

    async def _ask(self) -> bool:
        """Whether it says anything, were it an error."""
        try:
            if self._connection is None:
                self._connection = await self._connect()
            await self._connection.fetchval("SELECT 1")
        except TimeoutError:
            self._hang_up()
            return False
        except _SAID:
            self._hang_up()
        return True

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

"""Following every generation that is to be: a follower is begun and ended as the set changes, and no other notices."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

import asyncpg

from eventlog.ending import exit_on_error
from projections.control.revision import refuse_newer
from projections.database import connect, translated
from projections.generations.following import Followed, followed
from schemas.errors import DatabaseAway, GenerationMissing
from schemas.mending import INIT
from services.projector.follower import Follower, Standing
from services.projector.log import Cluster
from services.projector.metrics import Metrics
from services.settings import Settings

LOOK_EVERY = 1.0
"""Seconds between two looks at what there is to follow."""

Key = tuple[str, int, int]
"""A projection, the number of one of its generations, and when that was made: a number is given again."""


class Following:
    """The followers of this process."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._cluster = Cluster(settings.kafka_settings())
        self._followers: dict[Key, Follower] = {}
        self._running: dict[Key, asyncio.Task[None]] = {}

    @property
    def standings(self) -> Sequence[Standing]:
        """How each follower is."""
        return [follower.standing for follower in list(self._followers.values())]

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until `stop`. Raises `DatabaseAway` and `GenerationMissing` where there is nothing to begin with."""
        connection = await self._begin()
        keeping = asyncio.create_task(self._keep(connection))
        await stop.wait()
        keeping.cancel()
        for follower in self._followers.values():
            follower.end()
        await asyncio.gather(*self._running.values())

    async def _begin(self) -> asyncpg.Connection:
        connection = await self._connect()
        await self._look(connection)
        if not self._followers:
            raise GenerationMissing(f"there is no generation to project into: run `{INIT}` first")
        return connection

    async def _connect(self) -> asyncpg.Connection:
        return await connect(self._settings.dsn, application="nenrin projector watching")

    async def _keep(self, connection: asyncpg.Connection) -> None:
        """Look again and again. Nothing is begun or ended while Postgres is away, or lacks what Nenrin keeps there."""
        with exit_on_error("looking what to follow"):
            while True:
                await asyncio.sleep(LOOK_EVERY)
                with suppress(DatabaseAway, GenerationMissing):
                    if connection.is_closed():
                        connection = await self._connect()
                    await self._look(connection)

    async def _look(self, connection: asyncpg.Connection) -> None:
        with translated():
            await refuse_newer(connection)  # a later version may have come while this connection was open
        wanted = {(each.projection, each.generation, each.created): each for each in await followed(connection)}
        self._end(wanted)
        for follower in list(self._followers.values()):
            await follower.confirm(connection)
        for key in wanted.keys() - self._followers.keys():
            self._followers[key] = Follower(self._settings, self._cluster, self._metrics, wanted[key])
            self._running[key] = asyncio.create_task(self._follow(key))

    def _end(self, wanted: Mapping[Key, Followed]) -> None:
        for key, follower in self._followers.items():
            if key in wanted:
                follower.followed = wanted[key]  # the pointer may have moved
            else:
                follower.end()

    async def _follow(self, key: Key) -> None:
        """One follower's life. What has ended is begun again by a later look, where it is still to be followed."""
        with exit_on_error("following"):
            await self._followers[key].run()
            del self._followers[key], self._running[key]

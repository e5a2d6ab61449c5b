"""Waiting for a version without a database connection: one listener and one poll for all who wait."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from functools import partial

import asyncpg
import structlog
from prometheus_client import CollectorRegistry

from projections.database import CHANNEL, connect, translated
from projections.generations.read import nothing
from projections.reading import Reader
from schemas.errors import GenerationMissing, NenrinError
from schemas.versions import Version
from services.query import metrics

Key = tuple[str, int | None]
"""A projection and the generation that is asked for; None: the live one."""
WAITERS = 1_000
POLL_EVERY = 0.2
"""Seconds between looks at the positions while somebody waits: a lost notification costs that and two reads."""
PAUSE = 0.01
"""Seconds at least between two looks: however many generations notify, looking stays cheap."""
RECONNECT_AFTER = (0.05, 0.1, 0.25, 0.5, 1.0)

log = structlog.get_logger()


class TooManyWaiters(NenrinError):
    """As many requests wait as this process will hold."""


class Waiter:
    """One request that waits until a projection has reached some offsets.

    A notification doesn't say of which generation it is. Where several follow the log, it is a reason to look at the
    positions, once for all who wait: each of them would otherwise read, and half of them in vain. So is the second one
    for a waiter that the first one woke in vain. `look` has that done.
    """

    def __init__(self, look: Callable[[], None], *, wary: bool) -> None:
        self._look = look
        self._wary = wary
        self._heard: dict[int, int] = {}
        self._needs: dict[int, int] = {}
        self._woken = asyncio.Event()

    def listen(self) -> None:
        """From now on, note what moves: called before a read, so that nothing is missed that happens during it."""
        self._wary = self._wary or self._woken.is_set()
        self._heard = {}
        self._needs = {}
        self._woken.clear()

    def expect(self, needs: Mapping[int, int]) -> None:
        """Wait for these offsets, by partition, unless they have been heard of since `listen`."""
        short = {partition: offset for partition, offset in needs.items() if self._heard.get(partition, 0) < offset}
        if not self._wary:
            self._needs = short
            if not short:
                self.wake()
            return
        self._needs = dict(needs)
        if len(short) < len(needs):
            self._look()

    def notified(self, partition: int, offset: int) -> None:
        """A notification says that a partition has come so far, in one of the generations."""
        if not self._wary or partition not in self._needs:
            self.moved(partition, offset)
        elif self._needs[partition] <= offset:
            self._look()

    def moved(self, partition: int, offset: int) -> None:
        """A partition has come so far. Many wait, and hear of every batch: this has to cost next to nothing."""
        needed = self._needs.get(partition)
        if needed is None:
            self._heard[partition] = max(offset, self._heard.get(partition, 0))
        elif needed <= offset:
            del self._needs[partition]
            if not self._needs:
                self.wake()

    def wake(self) -> None:
        """Have it read again, whatever it expects."""
        self._woken.set()

    async def woken(self) -> None:
        """Until everything expected has been reached."""
        await self._woken.wait()


class Waiters:
    """All requests that wait, by projection and generation."""

    def __init__(self, reader: Reader, registry: CollectorRegistry, limit: int = WAITERS) -> None:
        self._reader = reader
        self._limit = limit
        self._waiting: dict[Key, set[Waiter]] = {}
        self._count = 0
        self._some = asyncio.Event()
        self._doubted: set[Key] = set()
        self._doubts = asyncio.Event()
        metrics.waiters(registry, lambda: self._count)

    @contextlib.contextmanager
    def waiter(self, projection: str, generation: int | None) -> Iterator[Waiter]:
        """A place among those who wait. Raises `TooManyWaiters`."""
        if self._count >= self._limit:
            raise TooManyWaiters(f"{self._limit} requests wait for a version already")
        key = projection, generation
        waiter = Waiter(partial(self._doubt, key), wary=self._reader.followed(projection) > 1)
        self._waiting.setdefault(key, set()).add(waiter)
        self._count += 1
        self._some.set()
        try:
            yield waiter
        finally:
            self._count -= 1
            self._waiting[key].discard(waiter)
            if not self._waiting[key]:
                del self._waiting[key]
            if not self._count:
                self._some.clear()

    def moved(self, projection: str, partition: int, offset: int) -> None:
        """A projection (which of its generations isn't said) has come so far in a partition."""
        for (name, _), waiters in self._waiting.items():
            if name == projection:
                for waiter in waiters:
                    waiter.notified(partition, offset)

    def _doubt(self, key: Key) -> None:
        self._doubted.add(key)
        self._doubts.set()

    async def poll(self) -> None:
        """Look at the positions where a notification is in doubt, and ever again while somebody waits.

        For notifications can be lost with their connection.
        """
        while True:
            await self._some.wait()
            due = asyncio.get_running_loop().time() + POLL_EVERY
            while keys := await self._doubted_until(due):
                await self._look_at(keys)
                await asyncio.sleep(PAUSE)
            await self._look_at(list(self._waiting))

    async def _doubted_until(self, due: float) -> Collection[Key]:
        """What is in doubt, as soon as anything is; nothing, once it is time to look at everything."""
        if asyncio.get_running_loop().time() >= due:
            return ()
        try:
            async with asyncio.timeout_at(due):
                await self._doubts.wait()
        except TimeoutError:
            return ()
        self._doubts.clear()
        doubted, self._doubted = self._doubted, set()
        return doubted

    async def _look_at(self, keys: Collection[Key]) -> None:
        for projection, generation in keys:
            if (projection, generation) in self._waiting:
                await self._look(projection, generation)

    async def _look(self, projection: str, generation: int | None) -> None:
        try:
            answer = await self._reader.read(projection, lambda _: nothing(), generation)
        except GenerationMissing:
            self._wake(projection, generation)
        except (NenrinError, asyncpg.PostgresError) as error:  # those who wait will see it themselves when they read
            log.warning("positions could not be polled", projection=projection, error=str(error))
        else:
            if answer.ends_in_the_past:
                self._wake(projection, generation)
            for waiter in self._waiting.get((projection, generation), ()):
                _tell(waiter, answer.version)

    def _wake(self, projection: str, generation: int | None) -> None:
        """For what they expect will never come: let those who wait see it for themselves."""
        for waiter in self._waiting.get((projection, generation), ()):
            waiter.wake()


def _tell(waiter: Waiter, version: Version) -> None:
    for positions in version.offsets.values():
        for partition, offset in positions.items():
            waiter.moved(partition, offset)


async def listen(dsn: str, moved: Callable[[str, int, int], None]) -> None:
    """Hear every projection's moves, for ever, over one connection that is made again when it breaks."""
    attempt = 0
    while True:
        try:
            async with _listening(dsn, moved) as ended:
                attempt = 0
                await ended.wait()
            log.warning("the connection for notifications ended; making another")
        except (NenrinError, asyncpg.PostgresError) as error:  # whatever it is, the poll goes on meanwhile
            log.warning("no notifications", error=str(error))
        await asyncio.sleep(RECONNECT_AFTER[min(attempt, len(RECONNECT_AFTER) - 1)])
        attempt += 1


@contextlib.asynccontextmanager
async def _listening(dsn: str, moved: Callable[[str, int, int], None]) -> AsyncIterator[asyncio.Event]:
    def heard(_: asyncpg.Connection, __: int, ___: str, payload: str) -> None:
        projection, partition, offset = payload.split(" ")
        moved(projection, int(partition), int(offset))

    ended = asyncio.Event()
    connection = await connect(dsn, application="nenrin query notifications")
    connection.add_termination_listener(lambda _: ended.set())
    try:
        with translated():
            await connection.add_listener(CHANNEL, heard)
        yield ended
    finally:
        connection.terminate()

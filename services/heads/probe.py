"""One look after another at the log, each recorded in one transaction, for as long as Kafka and Postgres answer."""

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime

import asyncpg
from prometheus_client import CollectorRegistry

from eventlog.connection import KafkaSettings
from eventlog.planning import Identity
from eventlog.topics import Topics
from projections import heads as kept
from projections.heads import Tracked
from schemas import topics
from services.heads.ages import Ages, Place, beyond, lagging
from services.heads.metrics import Metrics
from services.heads.reader import Reader

INTERVAL = 0.15
"""Seconds from one look to the next; heads are promised every 250 ms."""

READING = 0.1
"""Seconds of a look to spend on reading the oldest records."""

ANSWER_WITHIN = 3.0
LOOK_WITHIN = 5.0
"""Seconds after which a look has failed: something hangs."""


class Probe:
    """Looks at the source topics. It ends with the first error: nothing is recorded that was not seen."""

    def __init__(
        self, settings: KafkaSettings, connection: asyncpg.Connection, reader: Reader, metrics: Metrics | None = None
    ) -> None:
        self._metrics = metrics or Metrics(CollectorRegistry())
        self._topics = Topics(settings, within=ANSWER_WITHIN)
        self._connection = connection
        self._reader = reader
        self._ages = Ages()
        self._identities: dict[str, Identity] = {}

    async def run(self) -> None:
        """Look for ever. Raises what Kafka or Postgres raise, or `TimeoutError`."""
        while True:
            started = time.monotonic()
            async with asyncio.timeout(LOOK_WITHIN):
                with self._metrics.look_seconds.time():
                    await self.look()
            await asyncio.sleep(started + INTERVAL - time.monotonic())

    async def look(self) -> None:
        """Take one look, and record it.

        Time and positions come before the heads: whatever happens in between, frozen or not, an observation is never
        younger than it says, and a position beyond its head is one that the log has lost.
        """
        began = await kept.now(self._connection)
        tracked = self._of_this_incarnation(await kept.positions(self._connection))
        if (heads := await self._heads()) is None:
            return
        behind = lagging(tracked, heads)
        if wanted := self._ages.unread(behind, heads):
            self._ages.learn(await self._reader.stretches(wanted, READING))
        seen = self._ages.look(behind, heads, milliseconds(began))
        oldest = {**seen.oldest, **beyond(tracked, heads, milliseconds(began))}
        await kept.observe(self._connection, began, seen.heads, self._incarnations(), oldest)
        self._metrics.recorded()

    async def _heads(self) -> Mapping[Place, int] | None:
        """The heads; None when the topics changed while they were read: they could be of either incarnation."""
        heads = await self._topics.heads(self._identities.values())
        identities = {identity.name: identity for identity in await self._topics.identify(topics.DOCUMENTS)}
        if identities == self._identities:
            return heads
        self._identities = identities
        self._ages = Ages()
        self._reader.assign(place for one in identities.values() for place in places_of(one))
        return None

    def _of_this_incarnation(self, tracked: list[Tracked]) -> list[Tracked]:
        """Positions in another incarnation say nothing of this one; readers see that its heads are of this one."""
        return [one for one in tracked if one.incarnation == self._incarnations().get(one.topic)]

    def _incarnations(self) -> dict[str, str]:
        return {topic: identity.incarnation for topic, identity in self._identities.items()}


def places_of(identity: Identity) -> list[Place]:
    """The partitions of a topic."""
    return [(identity.name, partition) for partition in range(identity.partitions)]


def milliseconds(time: datetime) -> int:
    """A time as the broker counts it, since 1970."""
    return int(time.timestamp() * 1000)

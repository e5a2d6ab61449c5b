"""Whether topics still are those that were claimed.

Consumers and producers know a topic by its name alone: one that was deleted and made again under them is read on at the
old position, and written on behind records that are gone. Only the topic's id tells, so it is asked for again after a
fetch and before what was fetched is used; an id that is still the same was so when the fetch was answered.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping

import structlog

from eventlog.planning import Identity
from eventlog.topics import Topics
from schemas.errors import LogAway, OtherIncarnation, TopicMismatch

ASK_AGAIN_AFTER = 0.5
"""Seconds between two questions to a Kafka that is away."""

log = structlog.get_logger()


class Incarnations:
    """The topics that a process works on, as they were when it claimed them."""

    def __init__(self, topics: Topics, names: Iterable[str]) -> None:
        self._topics = topics
        self._names = tuple(names)
        self._held: Mapping[str, Identity] | None = None
        self._asking = asyncio.Lock()
        self._confirmed_at = 0.0

    async def hold(self) -> Mapping[str, Identity]:
        """The topics as they are now, those that exist: what `confirm` compares with. Waits while Kafka is away."""
        while True:
            try:
                self._held = found = await self._topics.there(self._names)
                return found
            except LogAway as error:
                await _pause(error)

    async def confirm(self) -> None:
        """Return when the topics are known to have been the same at the time of this call; one question serves many.

        Waits while Kafka is away. Raises `OtherIncarnation`, `TopicMismatch`.
        """
        called_at = time.monotonic()
        while True:
            try:
                async with self._asking:
                    while self._confirmed_at < called_at:
                        await self.compare()
                return
            except LogAway as error:
                await _pause(error)

    async def compare(self) -> None:
        """Ask once. Raises `OtherIncarnation`, `TopicMismatch` where a topic is another than it was, and `LogAway`.

        Before anything was claimed, what is found first is what has to stay the same.
        """
        held, asked_at = self._held, time.monotonic()
        found = await self._topics.there(self._names)
        if self._held is not held:
            return  # claimed meanwhile: that look was the newer one
        if held is None:
            held = self._held = found
        for name in self._names:
            _compare(name, held.get(name), found.get(name))
        self._confirmed_at = asked_at


async def _pause(error: LogAway) -> None:
    log.warning("waiting for Kafka", reason=str(error))
    await asyncio.sleep(ASK_AGAIN_AFTER)


def _compare(name: str, before: Identity | None, now: Identity | None) -> None:
    if before == now:
        return
    if now is None or before is None:
        raise TopicMismatch(f"topic {name} was {'deleted' if now is None else 'made'} while this process ran")
    if before.incarnation != now.incarnation:
        raise OtherIncarnation(
            f"topic {name} was recreated while this process ran: it was incarnation {before.incarnation}, and is now "
            f"{now.incarnation}"
        )
    raise TopicMismatch(
        f"topic {name} had {before.partitions} partitions when it was claimed, and has {now.partitions} now"
    )

"""Waiting until an encoder's topic covers the source: until its embedder has caught up."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

from eventlog.topics import Topics
from schemas.errors import LogAway, OtherIncarnation, PositionLost
from schemas.topics import DOCUMENTS
from services.covering import Cover, Standstill, covers
from services.settings import Settings

LOOK_EVERY = 1.0
LOOKS = 10
"""An embedder has caught up when it covers what was there so many looks ago: a log that grows has no other end."""
SILENT_AFTER = 20.0
"""Seconds without any progress after which somebody is told what may be missing; a model loads in less."""

Show = Callable[[int, int], None]
"""Told how many source offsets are covered, of how many."""


async def until_covered(settings: Settings, encoder: str, show: Show, say: Callable[[str], None]) -> None:
    """Return when the vectors of all that is in the log are there, but for what was written a moment ago.

    Raises `TopicMismatch`, `OtherIncarnation` and `PositionLost` where they never will be.
    """
    heads: deque[Mapping[int, int]] = deque(maxlen=LOOKS)
    told = _Told(encoder, say)
    while True:
        try:
            ends, covered = await _look(settings, encoder)
        except LogAway as error:
            told.away(str(error))
        else:
            heads.append(ends)
            done = sum(cover.end - cover.begin for cover in covered.values())
            show(done, sum(end - covered[partition].begin for partition, end in ends.items()))
            if all(covered[partition].end >= end for partition, end in heads[0].items()):
                return
            told.at(done)
        await asyncio.sleep(LOOK_EVERY)


async def _look(settings: Settings, encoder: str) -> tuple[Mapping[int, int], Mapping[int, Cover]]:
    """Where each partition of the source ends, and then what is covered of it."""
    kafka = settings.kafka_settings()
    cluster = Topics(kafka)
    (source,) = await cluster.identify(DOCUMENTS)
    ends = {partition: bounds.end for (_, partition), bounds in (await cluster.bounds([source])).items()}
    try:
        return ends, await covers(kafka, source, encoder)
    except (OtherIncarnation, PositionLost) as error:
        raise type(error)(
            f"{error}. For an encoder that isn't live: `nenrin encoders remove {encoder} --delete-topic`, then add it"
        ) from error


class _Told:
    """What somebody who waits has been told: each thing once, until something moves."""

    def __init__(self, encoder: str, say: Callable[[str], None]) -> None:
        self._encoder = encoder
        self._say = say
        self._embedder = Standstill()
        self._silent = True

    def at(self, done: int) -> None:
        """So much is covered now."""
        stood = self._embedder.seconds(done)
        if stood == 0:
            self._silent = True
        elif self._silent and stood > SILENT_AFTER:
            self._silent = False
            self._say(f"nothing has moved for {SILENT_AFTER:.0f} s: is its embedder at work? {starting(self._encoder)}")

    def away(self, why: str) -> None:
        """Kafka does not answer now."""
        if self._silent:
            self._say(f"{why}; waiting")
        self._silent = False


def starting(encoder: str) -> str:
    """How an encoder's embedder comes to run."""
    return (
        f"`nenrin up` starts one by itself; on servers of your own run "
        f"`NENRIN_ENCODER={encoder} NENRIN_BACKFILL=1 nenrin embedder`, where its model's folder is"
    )

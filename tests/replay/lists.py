"""A log that is a list. Processes that fold one import this, and so nothing that tests."""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping, Sequence

import msgspec

from eventlog.connection import KafkaSettings
from projections.port import Entry
from projections.positions import Position
from services.replay.reading import Stretch


class Died(Exception):
    """What a test ends a load with."""


class Log(msgspec.Struct):
    """Batches of entries instead of Kafka; it dies after some of them, when told to.

    In processes other than `home` it stands still after some, when told to. It can be told to die at once at home.
    """

    partitions: Sequence[Sequence[Entry]]
    batch: int
    dies_after: int | None = None
    home: int = 0
    dies_at_home: bool = False
    stands_after: int | None = None

    async def entries(
        self, kafka: KafkaSettings, stretch: Stretch, starts: Mapping[int, Position], until: object
    ) -> AsyncGenerator[list[Entry]]:
        """As `reading.entries`."""
        given, at_home = 0, os.getpid() == self.home
        for partition, start in starts.items():
            rest = [each for each in self.partitions[partition] if each.place.next > start.next]
            for first in range(0, len(rest), self.batch):
                if given == self.dies_after or (at_home and self.dies_at_home):
                    raise Died
                if given == self.stands_after and not at_home:
                    await asyncio.Event().wait()
                given += 1
                yield rest[first : first + self.batch]

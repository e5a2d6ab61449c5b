"""Reading single records of the log, to learn their times. Slow reading is never waited for: see `Reader.stretch`."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Self

from aiokafka import TopicPartition

from eventlog.connection import KafkaSettings
from eventlog.consumer import Consumer
from services.heads.stretch import Record, Stretch

Place = tuple[str, int]
"""A topic, by its logical name, and a partition."""

FETCHED = 64 * 1024
"""Bytes of a partition a fetch: small, for one record would do; the first batch always comes whole."""

STEP_MS = 10
STEP_RECORDS = 1000
"""A fetch of a few bytes can hold millions that are compressed."""


class Reader:
    """A consumer without a group that reads where it is told to. It sees aborted records too: they are unapplied."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._consumer = Consumer(
            **settings.aiokafka(),
            client_id="nenrin-heads",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_uncommitted",
            max_partition_fetch_bytes=FETCHED,
            # a fetch that waits at the log's end would hold up the next one on its connection
            fetch_max_wait_ms=STEP_MS,
            request_timeout_ms=3_000,
        )

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    def assign(self, places: Iterable[Place]) -> None:
        """Read these partitions from now on, none of them until it is asked for."""
        partitions = [self._partition(place) for place in places]
        self._consumer.assign(partitions)
        self._consumer.pause(*partitions)

    async def stretches(self, wanted: Mapping[Place, tuple[int, int]], patience: float) -> dict[Place, Stretch]:
        """Read from each position to the first record or the head, whichever comes first.

        What could not be read within `patience` seconds is cut short or left out.
        """
        found = {place: Stretch(position, position) for place, (position, _) in wanted.items()}
        open_ = {self._partition(place): place for place in wanted}
        for partition, place in open_.items():
            self._consumer.seek(partition, wanted[place][0])
        self._consumer.resume(*open_)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while open_:
                    await self._read(open_, found)
                    open_ = {
                        partition: place
                        for partition, place in open_.items()
                        if not found[place].records and found[place].end < wanted[place][1]
                    }
        self._consumer.pause(*self._consumer.assignment())
        return found

    async def _read(self, open_: Mapping[TopicPartition, Place], found: dict[Place, Stretch]) -> None:
        fetched = await self._consumer.getmany(*open_, timeout_ms=STEP_MS, max_records=STEP_RECORDS)
        for partition, place in open_.items():
            records = [Record(record.offset, record.timestamp) for record in fetched.get(partition, ())]
            end = records[-1].offset + 1 if records else await self._consumer.position(partition)
            found[place] = found[place].extended(records, end)

    def _partition(self, place: Place) -> TopicPartition:
        return TopicPartition(self._settings.real(place[0]), place[1])

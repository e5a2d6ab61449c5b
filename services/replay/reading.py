"""The log in bulk: as it lies there, committed records only, without a consumer group and without Faust.

For whoever reads a stretch of it from one position to another: loading a generation, gates, verification.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Any

import aiokafka
import msgspec
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from eventlog.connection import KafkaSettings
from eventlog.consumer import Consumer
from eventlog.delivery import TopicPartition
from eventlog.planning import Bounds, Identity, check_position
from eventlog.topics import Topics
from projections.port import Entry
from projections.positions import Position, up_to
from schemas.errors import LogAway, PositionLost, TopicMismatch
from schemas.homes import homes
from schemas.mending import DOCTOR, EMBED_AGAIN
from schemas.records import Record, frozen_headers
from schemas.topics import DOCUMENTS, derived
from services import entries as reading

FETCH_RECORDS = 500
"""Records that are handed on together, at most; what is made of more does not stay in a processor's caches."""
PARTITION_BYTES = 4 * 1024 * 1024
"""Per fetch. A single larger record still comes through, alone."""
FETCH_WAIT = 10
"""Milliseconds that a broker waits for records at an end: the next partition is not fetched before it answers."""
PATIENCE = 30.0
"""Seconds in which a fetch must bring something, or move the position over markers."""


class Stretch(msgspec.Struct, frozen=True):
    """What there is to read: the source, the topic that is read (the source itself, or one derived from it), its ends.

    `ends` are offsets of the topic that is read: where those who read committed find its end, as it was when asked.
    """

    source: Identity
    topic: str
    begins: Mapping[int, int]
    ends: Mapping[int, int]

    @property
    def is_derived(self) -> bool:
        """Whether its records say of themselves what they cover of the source."""
        return self.topic != self.source.name


async def stretch(kafka: KafkaSettings, encoder: str | None) -> Stretch:
    """The whole log as it is now: the source where `encoder` is None, otherwise what was derived with it.

    Raises `TopicMismatch`, `LogAway`.
    """
    topics = Topics(kafka)
    name = DOCUMENTS if encoder is None else derived(encoder)
    source, read = await topics.identify(DOCUMENTS, name)
    if source.partitions != read.partitions:
        raise TopicMismatch(
            f"topic {name} has {read.partitions} partitions, {DOCUMENTS} {source.partitions}: `{EMBED_AGAIN}` makes it "
            "anew"
        )
    bounds = await topics.bounds([read])
    begins = {partition: bounds[name, partition].begin for partition in range(read.partitions)}
    return Stretch(source, name, begins, {partition: bounds[name, partition].end for partition in begins})


async def entries(
    kafka: KafkaSettings,
    stretch: Stretch,
    starts: Mapping[int, Position],
    until: Mapping[int, int] | None = None,
) -> AsyncGenerator[list[Entry]]:
    """Read partitions from `starts`, one after the other in their order; each list is of one partition, in order.

    Reads up to the stretch's ends; where `until` has a source offset for a partition, not beyond it: the last entry is
    cut there (`positions.up_to`), and reading ends earlier only if the derived topic does. Entries continue each other,
    transaction markers and a quiet end of the source covered, as a projector's would; `positions.continuing` holds
    them to that. Nothing is yielded for a partition that has nothing to read.
    Raises `PositionLost`, `OtherIncarnation`, `UndecodableRecord`, `LogAway`.
    """
    consumer = Consumer(
        **kafka.aiokafka(),
        isolation_level="read_committed",
        auto_offset_reset="none",
        enable_auto_commit=False,
        fetch_max_wait_ms=FETCH_WAIT,
        max_partition_fetch_bytes=PARTITION_BYTES,
        fetch_max_bytes=PARTITION_BYTES,
    )
    try:
        await consumer.start()
        await asyncio.sleep(0)  # a task of its own that never began would have its stop cancel us
        tps = {each: aiokafka.TopicPartition(kafka.real(stretch.topic), each) for each in sorted(starts)}
        consumer.assign(list(tps.values()))
        _leave(consumer, tps.values())
        for partition, tp in tps.items():
            target = None if until is None else until[partition]
            async for found in _partition(consumer, tp, stretch, starts[partition], target):
                yield found
            _leave(consumer, [tp])
    except OffsetOutOfRangeError as error:
        raise PositionLost(f"{stretch.topic} lost records while it was read: {error}; `{DOCTOR}` says more") from error
    except KafkaError as error:
        raise LogAway("not_written", f"Kafka at {kafka.bootstrap} failed while it was read: {error}") from error
    finally:
        await consumer.stop()


def _leave(consumer: Any, tps: Collection[aiokafka.TopicPartition]) -> None:
    """Have the client fetch nothing of these, and forget what it has fetched.

    Not by assigning others: aiokafka's `stop` waits for ever if it comes while an older assignment is let go of.
    """
    consumer.pause(*tps)
    for tp in tps:
        consumer.seek(tp, 0)  # any position: without one the client asks for one again and again


async def _partition(
    consumer: Any, tp: aiokafka.TopicPartition, stretch: Stretch, start: Position, target: int | None
) -> AsyncGenerator[list[Entry]]:
    place = TopicPartition(stretch.topic, tp.partition)
    end = stretch.ends[tp.partition]
    if target is not None and not stretch.is_derived:
        end = min(end, target)
    covered, position = start.next, _begin(stretch, place, start)
    consumer.seek(tp, position)
    consumer.resume(tp)
    async for records, reached in _records(consumer, tp, position, end):
        found = await asyncio.to_thread(_entries, stretch.source, place, records, covered, min(reached, end))
        if target is not None:
            found = up_to(found, target)
        if found:
            covered = found[-1].place.next
            yield found
        if target is not None and covered >= target:
            return


def _begin(stretch: Stretch, place: TopicPartition, start: Position) -> int:
    """Where the topic is read from."""
    bounds = Bounds(stretch.begins[place.partition], stretch.ends[place.partition])
    if not stretch.is_derived:
        check_position(place, start.next, bounds)
        return start.next
    # a derived topic that was made anew is read from its beginning: its records say what they cover
    return start.read_next if bounds.begin <= start.read_next <= bounds.end else bounds.begin


async def _records(
    consumer: Any, tp: aiokafka.TopicPartition, position: int, end: int
) -> AsyncGenerator[tuple[list[Any], int]]:
    """What lies before `end`, and after each fetch how far it is covered: markers take offsets too."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + PATIENCE
    while position < end:
        found = (await consumer.getmany(tp, timeout_ms=100, max_records=FETCH_RECORDS)).get(tp, [])
        reached = await consumer.position(tp)
        if reached > position:
            yield [record for record in found if record.offset < end], reached
            position, deadline = reached, clock() + PATIENCE
        elif clock() > deadline:
            raise LogAway("not_written", f"{tp.topic}/{tp.partition}: nothing came in {PATIENCE:g} s behind {position}")


def _entries(
    source: Identity, place: TopicPartition, records: Sequence[Any], covered: int, reached: int
) -> list[Entry]:
    """Entries of one fetch. In the source, the first begins where `covered` ends, and they cover up to `reached`."""
    if place.topic != source.name:
        return [reading.from_derived(_record(place.topic, each), source.incarnation) for each in records]
    found = []
    known = homes([each.key for each in records], source.partitions)
    for each, home in zip(records, known, strict=True):
        found.append(reading.from_source(_record(place.topic, each), covered, source.partitions, home=home))
        covered = each.offset + 1
    if covered < reached:
        found.append(reading.quiet(*place, covered, reached))
    return found


def _record(topic: str, record: Any) -> Record:
    return Record(
        topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        frozen_headers(record.headers),
    )

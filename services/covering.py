"""What a derived topic covers of its source: from where on its records stand for source records, and up to where."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec
from aiokafka.errors import KafkaError

from eventlog.connection import KafkaSettings
from eventlog.delivery import TopicPartition
from eventlog.planning import Bounds, Identity
from eventlog.tail import read_firsts, read_tails
from eventlog.topics import Topics
from schemas.derived import decode
from schemas.errors import LogAway, OtherIncarnation, PositionLost, TopicMismatch
from schemas.mending import EMBED_AGAIN, INIT
from schemas.records import Record
from schemas.topics import DOCUMENTS, derived


class Cover(msgspec.Struct, frozen=True):
    """The source offsets, `begin` up to but without `end`, that a partition of a derived topic stands for."""

    begin: int
    end: int


class Standstill:
    """How long somebody's work has stood still, by what is done of it."""

    def __init__(self) -> None:
        self._done = -1
        self._since = 0.0

    def seconds(self, done: int) -> float:
        """Since when it has been `done` and no more; 0.0 where something was done since it was last asked for."""
        now = asyncio.get_running_loop().time()
        if done != self._done:
            self._done, self._since = done, now
        return now - self._since


async def covers(kafka: KafkaSettings, source: Identity, encoder: str) -> dict[int, Cover]:
    """What is embedded by `encoder` of the source.

    Raises `TopicMismatch`, `OtherIncarnation`, `PositionLost` where nothing can be built from it, and `LogAway`.
    """
    topic, cluster = derived(encoder), Topics(kafka)
    found = (await cluster.there([topic])).get(topic)
    if found is None or found.partitions != source.partitions:
        there = "does not exist" if found is None else f"has {found.partitions} partitions, not {source.partitions}"
        raise TopicMismatch(f"topic {topic} {there}: run `{INIT if found is None else EMBED_AGAIN}`")
    places = [TopicPartition(topic, partition) for partition in range(source.partitions)]
    with _translated(kafka):
        firsts, tails = await read_firsts(kafka, places), await read_tails(kafka, places)
    bounds = await cluster.bounds([source])  # last: both topics grow
    return {
        place.partition: _cover(source, firsts[place], tails[place], bounds[source.name, place.partition], topic)
        for place in places
    }


async def reached(kafka: KafkaSettings, encoder: str, partitions: Iterable[int]) -> dict[int, int]:
    """The source offset that each partition of a derived topic covers up to; 0 where it is empty. Raises `LogAway`."""
    with _translated(kafka):
        tails = await read_tails(kafka, [TopicPartition(derived(encoder), partition) for partition in partitions])
    return {place.partition: 0 if tail is None else decode(tail).source.next for place, tail in tails.items()}


@contextmanager
def _translated(kafka: KafkaSettings) -> Iterator[None]:
    try:
        yield
    except (KafkaError, TimeoutError) as error:
        said = str(error) or "no answer in time"
        raise LogAway("not_written", f"Kafka at {kafka.bootstrap} failed while it was read: {said}") from error


def _cover(source: Identity, first: Record | None, tail: Record | None, bound: Bounds, topic: str) -> Cover:
    """Of one partition; nothing yet where it holds no record."""
    if first is None or tail is None:
        return Cover(bound.begin, bound.begin)
    begin, end = decode(first).source, decode(tail).source
    place = f"{topic}/{first.partition}"
    for each in (begin, end):
        if each.incarnation != source.incarnation:
            raise OtherIncarnation(
                f"{place} was embedded from incarnation {each.incarnation} of {DOCUMENTS}, which is now "
                f"{source.incarnation}: `{EMBED_AGAIN}` makes it anew"
            )
    if begin.since > bound.begin:
        raise PositionLost(
            f"{place} begins with offset {begin.since} of {DOCUMENTS}, which begins at {bound.begin}: what lies "
            f"between is no longer in it; `{EMBED_AGAIN}` makes it anew"
        )
    if not bound.begin <= end.next <= bound.end:
        raise PositionLost(
            f"{place} ends with offset {end.next - 1} of {DOCUMENTS}, which has {bound.begin} to {bound.end - 1}: one "
            f"of them is not whole; `{EMBED_AGAIN}` makes it anew"
        )
    return Cover(begin.since, end.next)

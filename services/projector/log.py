"""The log that a follower reads, as it was found at its last claim: which topics, and where each is read on."""

import asyncio
from collections.abc import Mapping

import msgspec
import structlog

from eventlog.connection import KafkaSettings
from eventlog.delivery import TopicPartition
from eventlog.incarnations import Incarnations
from eventlog.planning import Bounds, Identity, check_position
from eventlog.topics import Topics
from projections.positions import Position
from schemas.errors import LogCut, TopicMismatch
from schemas.mending import EMBED_AGAIN, INIT
from schemas.topics import DOCUMENTS

ANSWER_WITHIN = 3.0
"""Seconds that Kafka has to say which topics there are. Then it is asked with a new client."""
END_PATIENCE = 2.0
"""Seconds after which a log that ends before a position is looked at again, before that is believed."""

log = structlog.get_logger()


class Source(msgspec.Struct, frozen=True):
    """The source topic as it is now."""

    incarnation: str
    partitions: int


class Cluster:
    """Whom all followers of a process ask: clients of their own would be threads of their own."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.topics = Topics(kafka)
        self.quick = Topics(kafka, within=ANSWER_WITHIN)


class Log:
    """The source topic, and the one that is read: itself, or one derived from it."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self._topics = cluster.topics
        self.incarnations = Incarnations(cluster.quick, dict.fromkeys((DOCUMENTS, topic)))
        self._found: Mapping[str, Identity] = {}

    async def hold(self) -> None:
        """Look which topics there are, from now on they have to stay the same. Waits while Kafka is away."""
        self._found = await self.incarnations.hold()

    def source(self) -> Source:
        """The source topic. Raises `TopicMismatch` when there is none."""
        found = self._topic(DOCUMENTS)
        return Source(found.incarnation, found.partitions)

    async def confirm(self) -> None:
        """Return once it is known that, when this was called, the topics still were the same."""
        await self.incarnations.confirm()

    async def reading(self, topic: str, positions: Mapping[int, Position]) -> dict[TopicPartition, int]:
        """Where each partition of `topic` is read on.

        Raises `PositionLost` and `LogCut` where the source can't be what the positions counted, `TopicMismatch`.
        """
        try:
            return await self._reading(topic, positions)
        except LogCut:
            await asyncio.sleep(END_PATIENCE)
            return await self._reading(topic, positions)

    async def _reading(self, topic: str, positions: Mapping[int, Position]) -> dict[TopicPartition, int]:
        source, read = self._topic(DOCUMENTS), self._topic(topic)
        if source.partitions != read.partitions:
            raise TopicMismatch(
                f"topic {topic} has {read.partitions} partitions, {DOCUMENTS} {source.partitions}: `{EMBED_AGAIN}` "
                "makes it anew"
            )
        bounds = await self._topics.bounds({source.name: source, read.name: read}.values())
        for partition, position in positions.items():
            found = bounds[DOCUMENTS, partition]
            # what is read elsewhere was copied before the source lost its beginning
            begin = found.begin if topic == DOCUMENTS else 0
            check_position(TopicPartition(DOCUMENTS, partition), position.next, Bounds(begin, found.end))
        return {
            TopicPartition(topic, partition): _within(TopicPartition(topic, partition), at.read_next, bounds)
            for partition, at in positions.items()
        }

    def _topic(self, name: str) -> Identity:
        if name not in self._found:
            raise TopicMismatch(f"topic {name} does not exist: `{INIT}` makes it")
        return self._found[name]


def _within(place: TopicPartition, read_next: int, bounds: Mapping[tuple[str, int], Bounds]) -> int:
    """Where a topic is read on whose records say what they cover: anywhere will do, and what is missing is a gap."""
    found = bounds[place]
    if found.begin <= read_next <= found.end:
        return read_next
    log.warning("reading from the beginning", place=str(place), expected=read_next, begin=found.begin, end=found.end)
    return found.begin

"""What it takes to have all topics, and whether one that exists keeps the contract. Pure."""

from collections.abc import Iterable, Mapping

import msgspec

from eventlog.delivery import TopicPartition
from schemas.errors import LogCut, OtherIncarnation, PositionLost, TopicMismatch
from schemas.mending import DOCTOR, RESET_ALL
from schemas.topics import Topic

REPLICAS = 3
IN_SYNC = 2


class Identity(msgspec.Struct, frozen=True):
    """A topic as the cluster knows it; `incarnation` is Kafka's topic id, which no other topic ever has."""

    name: str
    partitions: int
    incarnation: str


class Bounds(msgspec.Struct, frozen=True):
    """What a partition holds: offsets from `begin` up to but without `end`, the last stable offset."""

    begin: int
    end: int


class Described(Identity, frozen=True):
    """A topic with the settings that it has."""

    settings: Mapping[str, str]


class Plan(msgspec.Struct, frozen=True):
    """What it takes to have all topics: those to make, beside those that are there and in order."""

    missing: tuple[Topic, ...]
    present: tuple[Described, ...]
    replicas: int

    def lines(self) -> list[str]:
        """The plan as an operator reads it."""
        made = [
            f"make topic {topic.name}: {topic.partitions} partitions, {self.replicas} "
            f"{'copy' if self.replicas == 1 else 'copies'}, "
            + ", ".join(f"{name}={value}" for name, value in settings_of(topic, self.replicas).items())
            for topic in self.missing
        ]
        kept = [
            f"keep topic {topic.name}: {topic.partitions} partitions, incarnation {topic.incarnation}"
            for topic in self.present
        ]
        return made + kept


def plan(wanted: Iterable[Topic], found: Mapping[str, Described], nodes: int) -> Plan:
    """Compare what is wanted with what a cluster of `nodes` brokers has. Raises `TopicMismatch`."""
    topics = list(wanted)
    for topic in topics:
        if topic.name in found:
            check(topic, found[topic.name])
    return Plan(
        tuple(topic for topic in topics if topic.name not in found),
        tuple(found[topic.name] for topic in topics if topic.name in found),
        1 if nodes == 1 else REPLICAS,
    )


def settings_of(topic: Topic, replicas: int) -> dict[str, str]:
    """What a topic is made with."""
    durable = {"min.insync.replicas": str(IN_SYNC)} if replicas > 1 else {}
    return topic.settings() | durable


def check(wanted: Topic, found: Described) -> None:
    """Raise `TopicMismatch` when a topic that exists would break positions, order or the contract's limits."""
    if found.partitions != wanted.partitions:
        raise mismatch(wanted.name, found.partitions, wanted.partitions)
    for setting, value in wanted.settings().items():
        if not _keeps(setting, value, there := found.settings.get(setting)):
            raise TopicMismatch(
                f"topic {wanted.name} has {setting}={there}, but {value} is needed: "
                f"kafka-configs.sh --alter --topic {wanted.name} --add-config {setting}={value}"
            )


def mismatch(topic: str, found: int, expected: int) -> TopicMismatch:
    """A topic whose number of partitions is not the one that was set."""
    return TopicMismatch(
        f"topic {topic} has {found} partitions, but NENRIN_PARTITIONS is {expected}: set it to {found} if that is how "
        f"the topic was made. If partitions were added, which breaks the order of a document's events, `{DOCTOR}` says "
        "how to go on"
    )


def check_position(place: TopicPartition, position: int, bounds: Bounds) -> None:
    """Raise `PositionLost` when the log begins after a position, `LogCut` when it ends before it."""
    if position < bounds.begin:
        raise PositionLost(
            f"{place}: offset {position} was to come next, but the log begins at {bounds.begin}; what lies between is "
            f"gone: see that the topic's retention.ms is -1, then `{DOCTOR}` says how to go on"
        )
    if position > bounds.end:
        raise LogCut(
            f"{place}: offset {position} was to come next, but the log ends at {bounds.end}; events that had been read "
            f"are gone: `{RESET_ALL}` begins anew with what is left"
        )


def check_incarnation(topic: str, theirs: str, current: str) -> None:
    """Raise `OtherIncarnation` when positions count offsets of a topic that has since been made anew."""
    if theirs != current:
        raise OtherIncarnation(
            f"topic {topic} was recreated: positions are kept for its incarnation {theirs}, it is now {current}; "
            f"`{RESET_ALL}` begins anew with what is in it now"
        )


def _keeps(setting: str, wanted: str, found: str | None) -> bool:
    if setting == "max.message.bytes" and found is not None:
        return int(found) >= int(wanted)
    return found == wanted

"""How far behind a projection is: versions, lag and state, computed from one row that Postgres read in one snapshot.

Pure. Unknown is never 0: where a number can't be vouched for, there is none.
"""

from collections.abc import Iterable
from enum import StrEnum
from math import ceil
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.versions import Version

OBSERVED_WITHIN = 5.0
"""Seconds after which an observation of the log's end says nothing any more."""
LIVE_WITHIN = 2.0
STALLED_AFTER = 30.0
_LEAST = 0.001  # what is unapplied has an age, even where the broker's clock runs ahead of the database's


class State(StrEnum):
    """How a projection follows its log."""

    LIVE = "live"
    CATCHING_UP = "catching_up"
    STALLED = "stalled"
    UNKNOWN = "unknown"


StateName = Annotated[str, Meta(description="How it follows the log.", extra_json_schema={"enum": list(State)})]


class Partition(msgspec.Struct, frozen=True, array_like=True):
    """One partition's position, and what the probe saw of it; times are seconds since 1970 by the database's clock."""

    topic: str
    partition: int
    next: int
    epoch: int
    incarnation: str
    committed_at: float | None = None
    head: int | None = None
    head_incarnation: str | None = None
    observed_at: float | None = None
    oldest_position: int | None = None
    oldest_at: float | None = None

    def observed(self, now: float) -> bool:
        """Whether the head was seen a moment ago, by the database's clock."""
        return self.observed_at is not None and 0 <= now - self.observed_at <= OBSERVED_WITHIN

    @property
    def unapplied(self) -> int:
        """Offsets between the position and the head; 0 where no head was ever seen."""
        return 0 if self.head is None else max(0, self.head - self.next)


class Frame(msgspec.Struct, frozen=True):
    """What every read returns beside its rows. `live` is the pointer's value, `now` the database's clock, `heads` the
    number of partitions that the probe has seen in the incarnation of the topic that is folded. `ended`: no projector
    feeds the generation any more; `created_at` tells it from others that had its number.
    """

    live: int
    now: float
    parked: int
    partitions: tuple[Partition, ...]
    encoder: str | None = None
    heads: int = 0
    ended: bool = False
    created_at: float | None = None


class Lag(msgspec.Struct, frozen=True):
    """How far behind. Both numbers are None when, and only when, the state is unknown."""

    state: State
    events: int | None = None
    seconds: float | None = None

    def header(self) -> str:
        """The value of `Nenrin-Lag`."""
        if self.events is None:
            return f"state={self.state}"
        return f"events={self.events}, seconds={self.seconds}, state={self.state}"

    def within(self, seconds: float) -> bool:
        """Whether it is known to be at most `seconds`."""
        return self.seconds is not None and self.seconds <= seconds


UNKNOWN = Lag(State.UNKNOWN)


def version_of(partitions: Iterable[Partition]) -> Version:
    """The version that these positions make."""
    offsets: dict[str, dict[int, int]] = {}
    incarnations: dict[str, str] = {}
    for partition in partitions:
        offsets.setdefault(partition.topic, {})[partition.partition] = partition.next
        incarnations[partition.topic] = partition.incarnation
    return Version(offsets, incarnations)


def lag_of(frame: Frame) -> Lag:
    """How far behind a generation is."""
    if not _known(frame):
        return UNKNOWN
    events, seconds, stalled = 0, 0.0, False
    for partition in frame.partitions:
        if unapplied := partition.unapplied:
            events += unapplied
            seconds = max(seconds, _age(partition, frame.now))
            stalled = stalled or _without_progress(partition, frame.now) > STALLED_AFTER
    return Lag(_state(seconds, stalled), events, seconds)


def _known(frame: Frame) -> bool:
    claimed = any(partition.epoch for partition in frame.partitions)
    whole = frame.heads <= len(frame.partitions)  # of partitions that are not folded there is no lag to tell
    return claimed and whole and all(_observed(partition, frame.now) for partition in frame.partitions)


def _observed(partition: Partition, now: float) -> bool:
    if not partition.observed(now):
        return False
    if partition.head_incarnation != partition.incarnation or _lost(partition):
        return False
    return not partition.unapplied or _dated(partition)


def _lost(partition: Partition) -> bool:
    """Whether the log was seen to end before the position: what was applied is no longer there.

    Heads only grow, and the probe reads positions before it reads heads. A position moves past an older head all the
    time; one that the probe saw with a lower head does not.
    """
    seen, head = partition.oldest_position, partition.head
    return seen is not None and head is not None and head < seen <= partition.next


def _dated(partition: Partition) -> bool:
    """Whether the probe dated a record at or before the position: the age of a later one would be too low."""
    return partition.oldest_position is not None and partition.oldest_position <= partition.next


def _age(partition: Partition, now: float) -> float:
    """Rounded up to milliseconds: never too low, and above 0."""
    return max(_LEAST, ceil((now - (partition.oldest_at or 0.0)) * 1000) / 1000)


def _without_progress(partition: Partition, now: float) -> float:
    return now - max(partition.committed_at or 0.0, partition.oldest_at or 0.0)


def _state(seconds: float, stalled: bool) -> State:
    if stalled:
        return State.STALLED
    return State.LIVE if seconds < LIVE_WITHIN else State.CATCHING_UP


def observed_at(frame: Frame) -> float | None:
    """When the heads were last seen, all of them; None while one never was."""
    seen = [partition.observed_at for partition in frame.partitions]
    known = [time for time in seen if time is not None]
    return min(known) if known and len(known) == len(seen) else None


def heads_of(partitions: Iterable[Partition]) -> dict[str, dict[int, int | None]]:
    """The log's ends as the probe last saw them; None where it never did."""
    heads: dict[str, dict[int, int | None]] = {}
    for partition in partitions:
        heads.setdefault(partition.topic, {})[partition.partition] = partition.head
    return heads

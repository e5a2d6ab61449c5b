"""The oldest unapplied record of every generation, partition by partition. Pure but for what it is handed."""

from collections.abc import Iterable, Mapping

import msgspec

from projections.heads import Oldest, Tracked
from services.heads.stretch import MarkersOnly, Record, Stretch, Unread

BACK = 100
"""Offsets to go back for a record that stands in for markers: more than lie in a row, as a rule."""

SLOW = 2000
"""Milliseconds without an observation after which an age that may be too high is better than no head."""

Place = tuple[str, int]
Key = tuple[str, int, str, int]
"""A projection, its generation, a topic and a partition: what has a position."""


class Look(msgspec.Struct, frozen=True):
    """What one look at the log found. A partition is left out of `heads` where an age that belongs to it is unknown."""

    heads: Mapping[Place, int]
    oldest: Mapping[Key, Oldest]


def key_of(tracked: Tracked) -> Key:
    """What a position belongs to."""
    return (tracked.projection, tracked.generation, tracked.topic, tracked.partition)


def lagging(tracked: Iterable[Tracked], heads: Mapping[Place, int]) -> list[Tracked]:
    """Those with unapplied events, by these heads."""
    return [one for one in tracked if one.next < heads.get((one.topic, one.partition), 0)]


def beyond(tracked: Iterable[Tracked], heads: Mapping[Place, int], now: int) -> dict[Key, Oldest]:
    """Those whose position lies beyond these heads, which were read after it: the log has lost its end.

    At `now` (ms) nothing was written at their positions.
    """
    ends = ((one, heads.get((one.topic, one.partition))) for one in tracked)
    return {key_of(one): Oldest(one.next, now) for one, head in ends if head is not None and one.next > head}


class Ages:
    """What is known of the records at the generations' positions, from one look to the next."""

    def __init__(self) -> None:
        self._stretches: dict[Place, list[Stretch]] = {}

    def unread(self, behind: Iterable[Tracked], heads: Mapping[Place, int]) -> dict[Place, tuple[int, int]]:
        """What must be read to know the ages: for each partition the lowest position in question, and its head."""
        wanted: dict[Place, tuple[int, int]] = {}
        for one in sorted(behind, key=lambda one: one.next, reverse=True):
            place = (one.topic, one.partition)
            first = self._first(one, heads[place])
            if isinstance(first, Unread):
                wanted[place] = (one.next, heads[place])
            elif isinstance(first, MarkersOnly) and self._after(one) is None:
                wanted[place] = (max(0, one.next - BACK), heads[place])
        return wanted

    def learn(self, read: Mapping[Place, Stretch]) -> None:
        """Keep what was read, a few stretches a partition: generations may stand far apart."""
        for place, stretch in read.items():
            self._stretches[place] = [stretch, *self._stretches.get(place, ())][:8]

    def look(self, behind: Iterable[Tracked], heads: Mapping[Place, int], now: int) -> Look:
        """Date the oldest unapplied record of each of `behind`, as of `now` (ms).

        Where its own time is not known, an earlier one stands in: an age too high, never too low. Without even that,
        the partition's head is withheld, and readers go on with the one that they have.
        """
        oldest: dict[Key, Oldest] = {}
        withheld: set[Place] = set()
        for one in behind:
            if (time := self._written(one, heads[one.topic, one.partition], now)) is None:
                withheld.add((one.topic, one.partition))
            else:
                oldest[key_of(one)] = Oldest(one.next, time)
        return Look({place: head for place, head in heads.items() if place not in withheld}, oldest)

    def _written(self, one: Tracked, head: int, now: int) -> int | None:
        match self._first(one, head):
            case Record(time=time):
                return time
            case MarkersOnly():  # no consumer is shown their times
                return self._after(one)
            case Unread():
                slow = one.unwritten is not None and now - one.unwritten > SLOW
                return one.unwritten if slow and one.older is None else one.older

    def _after(self, one: Tracked) -> int | None:
        """A time, the latest known, after which all from a position on was written."""
        if one.older is not None:
            return one.older
        return self._before(one) if one.unwritten is None else one.unwritten

    def _before(self, one: Tracked) -> int | None:
        stretches = self._stretches.get((one.topic, one.partition), ())
        records = (record for stretch in stretches for record in stretch.records if record.offset < one.next)
        return max((record.time for record in records), default=None)

    def _first(self, one: Tracked, head: int) -> Record | MarkersOnly | Unread:
        for stretch in self._stretches.get((one.topic, one.partition), ()):
            first = stretch.first(one.next, head)
            if not isinstance(first, Unread):
                return first
        return Unread()

"""Which events are retried, in which order, and what has to be done for each. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import groupby

import msgspec

from projections.decisions import Parked
from projections.port import Order
from schemas.errors import InvalidInput
from schemas.partitions import partition_of

Place = tuple[str, int, int]
"""Topic, partition, offset."""


class Chosen(msgspec.Struct, frozen=True):
    """What is meant: events by their places, or all that nothing has resolved; of one projection, or of any."""

    places: tuple[Place, ...] = ()
    projection: str | None = None

    def concerns(self, event: Parked) -> bool:
        """Whether the event was parked by a projection that is meant."""
        return self.projection in (None, event.projection)

    def among(self, parked: Iterable[Parked]) -> list[Parked]:
        """Those of the events that are meant and not resolved, in the order of the log.

        Raises `InvalidInput` for a place where nothing is parked, or where what is parked is resolved.
        """
        mine = [event for event in parked if self.concerns(event)]
        for place in self.places:
            _check(place, [event for event in mine if event.place == place], self.projection)
        wanted = [event for event in mine if not self.places or event.place in self.places]
        return [event for event in wanted if is_open(event)]


class Asked(msgspec.Struct, frozen=True):
    """What an operator wants done, `by` whom; `why` events are skipped; `again`, though they were retried before."""

    chosen: Chosen
    by: str
    why: str = ""
    again: bool = False


def is_open(event: Parked) -> bool:
    """Whether it is neither healed nor skipped."""
    return event.resolved_by is None and event.skipped_at is None


def name_of(place: Place) -> str:
    """A place as people write it."""
    return f"{place[0]}/{place[1]}@{place[2]}"


def _check(place: Place, there: Sequence[Parked], projection: str | None) -> None:
    if not there:
        raise InvalidInput(
            "PLACE", f"nothing is parked at {name_of(place)}{'' if projection is None else f' by {projection}'}"
        )
    if not any(map(is_open, there)):
        raise InvalidInput("PLACE", f"{name_of(place)} is resolved already: {resolution(there[0])}")


def resolution(event: Parked) -> str:
    """What became of a resolved event."""
    if event.skipped_at is not None:
        return f"skipped by {event.skipped_by}: {event.skipped_because}"
    return f"the event at offset {event.resolved_by} took its place"


class Outcome(StrEnum):
    """What becomes of an event."""

    APPENDED = "appended"
    FOUND = "found"
    """A retry that was cut off had appended it."""
    RETRIED_BEFORE = "retried_before"
    SKIPPED = "skipped"
    SKIPPED_BEFORE = "skipped_before"


class Step(msgspec.Struct, frozen=True):
    """One event to retry, as each projection has parked it, and the partition of its copy.

    `marked`: its copy has to say what it is a copy of. `in_doubt`: a copy may be in the log already, from `since` on.
    `copied_as`: the offset of the copy that there is for certain, and that will do.
    """

    events: tuple[Parked, ...]
    into: int
    marked: bool = False
    in_doubt: bool = False
    since: int = 0
    copied_as: int | None = None

    @property
    def place(self) -> Place:
        """Where the event lies."""
        return self.events[0].place

    @property
    def moves(self) -> bool:
        """Whether it lies in a partition that is not its key's."""
        return self.into != self.place[1]


class Done(msgspec.Struct, frozen=True):
    """What became of an event, for the projections that had parked it. `copied_as`: its copy's partition and offset."""

    place: Place
    key: bytes | None
    projections: tuple[str, ...]
    outcome: Outcome
    copied_as: tuple[int, int] | None = None


def plan(
    parked: Sequence[Parked], asked: Asked, orders: Mapping[str, Order], partitions: Mapping[str, int]
) -> list[Step]:
    """What to do for each event that is meant, in order; those behind one in a projection that adds up go with it.

    `partitions` counts those of each topic.
    """
    wanted = asked.chosen.among(parked)
    keys = {_line(event) for event in wanted if orders[event.projection] is Order.APPEND and event.key is not None}
    behind = [event for event in parked if is_open(event) and _line(event) in keys]
    meant = {event.place for event in (*wanted, *behind)}
    events = [event for event in parked if event.place in meant and is_open(event)]
    events.sort(key=lambda event: (event.topic, event.partition, event.rank, event.offset))
    return [
        _step(tuple(those), orders, partitions, asked.again)
        for _, those in groupby(events, key=lambda event: event.place)
    ]


def _line(event: Parked) -> tuple[str, str, int, bytes | None]:
    """The events that an event stands in one line with."""
    return event.projection, event.topic, event.partition, event.key


def _step(events: tuple[Parked, ...], orders: Mapping[str, Order], partitions: Mapping[str, int], again: bool) -> Step:
    event = events[0]
    into = event.partition if event.key is None else partition_of(event.key, partitions[event.topic])
    adds_up = any(orders[each.projection] is Order.APPEND for each in events)
    before = next((each for each in events if each.retried_at is not None), None)
    step = Step(events, into, marked=adds_up and into == event.partition)
    if before is None or (again and before.retried_as is not None):
        return step
    return msgspec.structs.replace(
        step,
        into=before.retried_into if before.retried_into is not None else into,
        in_doubt=before.retried_as is None,
        since=before.retried_since or 0,
        copied_as=before.retried_as,
    )


def topics_of(parked: Iterable[Parked]) -> Collection[str]:
    """The topics that these events lie in."""
    return {event.topic for event in parked}

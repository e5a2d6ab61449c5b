"""Positions as arithmetic: which entries of a batch continue a position, and which break it. Pure."""

from collections.abc import Sequence

import msgspec

from projections.port import Entry
from schemas.errors import Gap


class Position(msgspec.Struct, frozen=True):
    """`next`: the next source offset to apply. `read_next`: the next offset of the topic that is read."""

    next: int
    read_next: int


def continuing(position: Position, entries: Sequence[Entry]) -> list[Entry]:
    """The entries that continue `position`, in order; those below it are duplicates and fall away.

    Raises `Gap` when an entry begins after the position: what lies between would be lost.
    """
    fresh: list[Entry] = []
    at = position.next
    for entry in entries:
        place = entry.place
        if place.next <= at:
            continue
        if place.since > at:
            raise Gap(
                f"{place.topic}/{place.partition}: the position is {at}, but the next record begins at {place.since}; "
                "offsets between are missing: stop, and compare the derived topic with its source"
            )
        fresh.append(entry)
        at = place.next
    return fresh


def after(position: Position, entries: Sequence[Entry]) -> Position:
    """The position once `entries` are applied; duplicates move only where reading goes on."""
    if not entries:
        return position
    last = entries[-1].place
    return Position(max(position.next, last.next), max(position.read_next, last.read_next))

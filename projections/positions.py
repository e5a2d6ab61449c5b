"""Positions as arithmetic: which entries of a batch continue a position, and which break it. Pure."""

from collections.abc import Sequence

import msgspec

from projections.port import Entry
from schemas.errors import Gap
from schemas.mending import EMBED_AGAIN

CUT = ", which lost its end"
"""What is added to the incarnation of positions that counted records which are gone. The topic's id does not tell."""


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
                f"the records between are missing in what is read: if that is the derived topic, `{EMBED_AGAIN}` "
                "makes it whole"
            )
        fresh.append(entry)
        at = place.next
    return fresh


def after(position: Position, entries: Sequence[Entry]) -> Position:
    """The position once `entries` are applied; duplicates move only where reading goes on."""
    if not entries:
        return position
    # the last of them may be a duplicate that lies below what came before it
    furthest = max(entry.place.next for entry in entries)
    return Position(max(position.next, furthest), max(position.read_next, entries[-1].place.read_next))

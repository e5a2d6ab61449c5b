"""Positions as arithmetic: which entries of a batch continue a position, and which break it. Pure."""

from collections.abc import Sequence

import msgspec

from projections.port import Entry, Nothing, Place
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


def up_to(entries: Sequence[Entry], target: int) -> list[Entry]:
    """The entries below the source offset `target`, all of one partition; one that covers it is cut there.

    What lies below a record's own offset is markers, and a stretch of nothing may be stopped in anywhere. Reading goes
    on with the record that was cut, where it is one of a derived topic.
    """
    found: list[Entry] = []
    for entry in entries:
        place = entry.place
        if place.next <= target:
            found.append(entry)
        elif place.since < target:
            found.append(Entry(_stopped(place, target), Nothing()))
    return found


def _stopped(place: Place, target: int) -> Place:
    again = target if place.read_next == place.next else place.read_next - 1
    return msgspec.structs.replace(place, offset=target - 1, next=target, read_next=again)

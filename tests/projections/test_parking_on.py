"""Parking batch after batch without asking Postgres in between comes to what one batch comes to."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.parking import Settled, Standing, Waiting, after, is_settled, settle
from projections.port import Entry, Order
from tests.projections.logs import added, nothing, refused
from tests.projections.test_parking import copy, keyless

KINDS = st.sampled_from(["added", "added", "refused", "keyless", "copy", "nothing"])
HISTORIES = st.lists(st.tuples(KINDS, st.sampled_from("ab")), max_size=12)


def entry(offset: int, kind: str, name: str) -> Entry:
    """One event."""
    match kind:
        case "refused":
            return refused(offset, name)
        case "keyless":
            return keyless(offset)
        case "copy":
            return copy(added(offset, name), max(0, offset - 2))
        case "nothing":
            return nothing(offset)
        case _:
            return added(offset, name)


def told(parts: list[Settled]) -> tuple[list[Entry], dict[int, tuple[str, int | None, int | None]]]:
    """What is folded, and what is parked, why, in whose turn, and what healed it."""
    rows = {row.entry.place.offset: row for part in parts for row in part.rows}
    healed = {offset: by for part in parts for offset, by in part.resolved.items()}
    parked = {at: (row.reason, row.rank, row.resolved_by or healed.get(at)) for at, row in rows.items()}
    return [each for part in parts for each in part.entries], parked


@settings(deadline=None)
@given(HISTORIES, st.integers(0, 12), st.sampled_from(Order), st.integers(1, 12))
def test_two_batches_are_one(history: list[tuple[str, str]], cut: int, order: Order, room: int) -> None:
    """The second goes on from what the first left standing: who waits, in which turn, and how much room there is."""
    entries = [entry(offset, *each) for offset, each in enumerate(history)]
    standing = Standing(room=room)
    whole = settle(entries, order, standing)
    first = settle(entries[:cut], order, standing)
    behind = after(standing, first)
    second = settle(entries[cut:] if len(first.entries) == len(entries[:cut]) else [], order, behind)
    assert told([first, second]) == told([whole])
    assert after(behind, second) == after(standing, whole)


@given(HISTORIES, st.sampled_from(Order))
def test_what_is_settled_needs_no_settling(history: list[tuple[str, str]], order: Order) -> None:
    """Where a batch is said to be folded as it stands, going through it changes nothing."""
    entries = [entry(offset, *each) for offset, each in enumerate(history)]
    if is_settled(entries, order, Standing()):
        assert settle(entries, order, Standing()) == Settled(entries, [], {})


def test_events_that_somebody_dealt_with_make_room_only_once() -> None:
    """One that was retried takes no room while it waits, and gives none back when it is healed."""
    standing = Standing({b"c/a": [Waiting(0, 0, retried=True), Waiting(1, 1)]}, room=3)
    behind = after(standing, settle([added(2, "a")], Order.UPSERT, standing))
    assert behind == msgspec.structs.replace(standing, waiting={}, room=4)

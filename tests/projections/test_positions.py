"""Positions: what continues one, what is a duplicate, what is a gap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.port import Entry
from projections.positions import Position, after, continuing
from schemas.errors import Gap
from tests.projections.logs import added, nothing


def log_of(steps: list[int]) -> list[Entry]:
    """A log without holes in its coverage: each step is how many offsets an entry covers, the last of them its own."""
    entries, at = [], 0
    for step in steps:
        entries.append(nothing(at + step - 1, since=at))
        at += step
    return entries


steps = st.lists(st.integers(1, 4), min_size=1, max_size=30)


@given(steps, st.data())
def test_a_log_read_twice_is_applied_once(steps: list[int], data: st.DataObject) -> None:
    """However a log is cut into batches, and whatever is delivered again, every entry is applied exactly once."""
    log = log_of(steps)
    position, applied, start = Position(0, 0), [], 0
    while position.next < log[-1].place.next:
        again = data.draw(st.integers(0, start))
        end = data.draw(st.integers(start + 1, len(log)))
        applied += continuing(position, log[again:end])
        position, start = after(position, log[again:end]), end
    assert applied == log


@given(steps, st.integers(1, 30))
def test_a_missing_record_is_a_gap(steps: list[int], missing: int) -> None:
    """Leaving out any record but the last is seen: nothing behind the hole is applied."""
    log = log_of(steps)
    if missing >= len(log):
        return
    with pytest.raises(Gap, match="missing"):
        continuing(Position(0, 0), log[: missing - 1] + log[missing:])


def test_holes_in_offsets_are_no_gaps() -> None:
    """Transaction markers take offsets: an entry that covers them continues the position."""
    entry = nothing(7, since=3)
    assert continuing(Position(3, 3), [entry]) == [entry]
    assert after(Position(3, 3), [entry]) == Position(8, 8)


def test_a_duplicate_moves_only_where_reading_goes_on() -> None:
    """Two embedders wrote the same: the source position stays, the derived topic is read on."""
    position = Position(next=5, read_next=2)
    assert after(position, [added(3)]) == Position(next=5, read_next=4)

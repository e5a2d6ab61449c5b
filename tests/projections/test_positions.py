"""Positions: what continues one, what is a duplicate, what is a gap."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.port import Change, Entry, Nothing, Place
from projections.positions import Position, after, continuing, up_to
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


class Log:
    """A topic as it is read, from any offset on: records of the source itself, or of a topic derived from it."""

    def __init__(self, entries: list[Entry], *, is_derived: bool) -> None:
        self.entries = entries
        self._is_derived = is_derived

    def read(self, position: Position) -> list[Entry]:
        """What comes from there on. In the source itself, the first record covers what is read below it."""
        found = [entry for entry in self.entries if entry.place.read_next > position.read_next]
        if self._is_derived or not found:
            return found
        return [msgspec.structs.replace(found[0], place=since(found[0].place, position.read_next)), *found[1:]]


def since(place: Place, begin: int) -> Place:
    """The same place, read from `begin` on."""
    return msgspec.structs.replace(place, since=max(place.since, begin))


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Records that cover one offset or several, with an event or with nothing in them.

    Those of a derived topic lie at other offsets than their sources', and some of them twice.
    """
    is_derived, entries, at, offset = draw(st.booleans()), list[Entry](), 0, 0
    for covered, is_event in draw(st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=20)):
        end = at + covered
        content = Change(f"event at {end - 1}") if is_event else Nothing()
        for _ in range(draw(st.integers(1, 2)) if is_derived else 1):
            offset += draw(st.integers(1, 3))
            read_next = offset if is_derived else end
            entries.append(Entry(Place("documents", 0, end - 1, at, end, read_next, 0), content))
        at = end
    return Log(entries, is_derived=is_derived)


@given(logs(), st.data())
def test_a_log_that_is_stopped_in_anywhere_is_applied_whole_and_once(log: Log, data: st.DataObject) -> None:
    """Whatever versions a reader is brought to, it stands exactly there, and has seen nothing that lies behind."""
    end = log.entries[-1].place.next
    position, applied = Position(0, 0), list[str]()
    for target in [*sorted(data.draw(st.lists(st.integers(0, end), max_size=5))), end]:
        entries = up_to(log.read(position), target)
        fresh = continuing(position, entries)
        position = after(position, entries)
        assert position.next == target
        applied += [entry.content.event for entry in fresh if isinstance(entry.content, Change)]
        assert applied == _events(log, target)
    assert applied == _events(log, end)


def _events(log: Log, target: int) -> list[str]:
    """The events below an offset, each once."""
    found = [
        entry.content.event
        for entry in log.entries
        if isinstance(entry.content, Change) and entry.place.offset < target
    ]
    return list(dict.fromkeys(found))

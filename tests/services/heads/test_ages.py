"""Which record is the oldest unapplied one, and what is said where it could not be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.heads import Oldest, Tracked
from services.heads.ages import BACK, SLOW, Ages, Look, beyond, lagging
from services.heads.stretch import MarkersOnly, Record, Stretch, Unread

PLACE = ("documents", 0)
NOW = 1000


def at(
    position: int,
    projection: str = "documents",
    *,
    partition: int = 0,
    older: int | None = None,
    unwritten: int | None = None,
) -> Tracked:
    """A generation's position."""
    return Tracked(projection, 1, "documents", partition, position, "incarnation", older, unwritten)


@given(st.sets(st.integers(0, 40)), st.integers(0, 20), st.integers(0, 20), st.integers(0, 41))
def test_a_stretch_says_only_what_it_knows(offsets: set[int], start: int, length: int, position: int) -> None:
    """It finds the first record at or after a position; where one could lie outside of it, it does not know."""
    end, head = start + length, 41
    stretch = Stretch(start, end, tuple(Record(offset, offset) for offset in sorted(offsets) if start <= offset < end))
    found = stretch.first(position, head)
    later = [offset for offset in sorted(offsets) if offset >= position]
    if isinstance(found, Record):
        assert found.offset == later[0]
    elif isinstance(found, MarkersOnly):
        assert not later
    else:
        assert position < start or not [offset for offset in later if offset < end]


def test_who_has_caught_up_has_no_age() -> None:
    """Only positions below the head are unapplied."""
    assert lagging([at(3), at(4), at(5)], {PLACE: 4}) == [at(3)]


def test_an_age_is_that_of_the_first_record_at_the_position() -> None:
    """Offsets without a record are passed over."""
    ages = Ages()
    ages.learn({PLACE: Stretch(0, 9, (Record(0, 100), Record(5, 150)))})
    assert ages.look([at(2)], {PLACE: 9}, NOW).oldest == {("documents", 1, "documents", 0): Oldest(2, 150)}


def test_generations_far_apart_are_dated_each() -> None:
    """A rebuild reads where the live generation was long ago: neither keeps the other from its age."""
    ages, heads, behind = Ages(), {PLACE: 1000}, [at(0, "passages"), at(900)]
    for _ in range(2):
        ((place, (position, head)),) = ages.unread(behind, heads).items()
        assert (place, head) == (PLACE, 1000)
        ages.learn({PLACE: Stretch(position, position + 1, (Record(position, position + 7),))})
    assert ages.unread(behind, heads) == {}
    assert {age.produced_at for age in ages.look(behind, heads, NOW).oldest.values()} == {7, 907}


MARKERS = [(at(3, older=70, unwritten=None), 70), (at(3, older=None, unwritten=80), 80)]


@pytest.mark.parametrize(("tracked", "since"), MARKERS)
def test_markers_are_as_old_as_they_can_be_at_most(tracked: Tracked, since: int) -> None:
    """Nobody reads their times; but they came after what lay before them, and after the log was seen to end there."""
    ages = Ages()
    ages.learn({PLACE: Stretch(3, 5)})
    assert list(ages.look([tracked], {PLACE: 5}, NOW).oldest.values()) == [Oldest(3, since)]


def test_markers_that_nobody_saw_come_are_no_older_than_what_lies_before_them() -> None:
    """At the first look of all: the record before them is read, for the age is not the probe's."""
    ages, heads = Ages(), {PLACE: 305}
    ages.learn({PLACE: Stretch(303, 305)})
    assert ages.look([at(303)], heads, NOW) == Look({}, {})
    assert ages.unread([at(303)], heads) == {PLACE: (303 - BACK, 305)}
    ages.learn({PLACE: Stretch(303 - BACK, 303, (Record(299, 60), Record(302, 70)))})
    assert ages.look([at(303)], heads, NOW) == Look(heads, {("documents", 1, "documents", 0): Oldest(303, 70)})
    assert ages.unread([at(303)], heads) == {}


def test_an_unread_record_borrows_an_older_age() -> None:
    """Too high for a moment is honest; too low would not be."""
    seen = Ages().look([at(5, older=100)], {PLACE: 9}, NOW)
    assert (seen.heads, list(seen.oldest.values())) == ({PLACE: 9}, [Oldest(5, 100)])


def test_without_any_age_the_head_is_withheld() -> None:
    """A new head without an age would show a lag of hours, dated by what lay there before; others go on."""
    seen = Ages().look([at(5)], {PLACE: 9, ("documents", 1): 4}, NOW)
    assert (seen.heads, seen.oldest) == ({("documents", 1): 4}, {})


def test_an_unread_record_is_dated_by_the_probes_looks_only_where_reading_is_slow() -> None:
    """Its own time is the broker's, whose clock may be another; but a head that is not told becomes an unknown lag."""
    ages, tracked, then = Ages(), at(5, unwritten=100), 100 + SLOW
    assert ages.look([tracked], {PLACE: 9}, then) == Look({}, {})
    assert ages.look([tracked], {PLACE: 9}, then + 1).oldest == {("documents", 1, "documents", 0): Oldest(5, 100)}


def test_a_position_beyond_the_head_is_told() -> None:
    """Only there has the log lost its end; a head that is not known says nothing."""
    tracked = [at(5), at(9), at(10), at(7, partition=1)]
    assert beyond(tracked, {PLACE: 9}, 1234) == {("documents", 1, "documents", 0): Oldest(10, 1234)}


def test_what_was_not_read_is_unread() -> None:
    """Before and behind a stretch there may be anything."""
    stretch = Stretch(3, 5, (Record(3, 1),))
    assert isinstance(stretch.first(2, 9), Unread)
    assert isinstance(stretch.first(4, 9), Unread)
    assert isinstance(stretch.first(6, 9), Unread)

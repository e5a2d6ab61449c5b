"""Lag that cannot lie: every state by a table, and what must hold whatever the rows are."""

from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.lag import (
    LIVE_WITHIN,
    OBSERVED_WITHIN,
    STALLED_AFTER,
    Frame,
    Lag,
    Partition,
    State,
    heads_of,
    lag_of,
    observed_at,
    version_of,
)
from schemas.versions import Version

NOW = 1_700_000_000.0


def partition(number: int = 0, **changes: object) -> Partition:
    """A partition that is fully applied, and whose head was just seen at 10."""
    applied = Partition("documents", number, 10, 3, "i", NOW - 60, 10, "i", NOW - 0.1)
    return msgspec.structs.replace(applied, **changes)


def frame(*partitions: Partition, heads: int = 0) -> Frame:
    """A frame of these partitions, of `heads` that the probe has seen."""
    return Frame(live=1, now=NOW, parked=0, partitions=partitions, heads=heads)


def behind(number: int = 0, *, by: int = 2, age: float = 0.5, committed: float | None = 60.0) -> Partition:
    """A partition with `by` unapplied records, the oldest of that age; `committed` seconds since the last commit."""
    return partition(
        number,
        next=10 - by,
        oldest_position=10 - by,
        oldest_at=NOW - age,
        committed_at=None if committed is None else NOW - committed,
    )


@dataclass(frozen=True)
class Case:
    """Rows, and the lag that they mean."""

    says: str
    partitions: tuple[Partition, ...]
    lag: Lag


UNKNOWN = Lag(State.UNKNOWN)
CASES = [
    Case("nothing is unapplied", (partition(), partition(1)), Lag(State.LIVE, 0, 0.0)),
    Case("idle for minutes", (partition(committed_at=NOW - 900),), Lag(State.LIVE, 0, 0.0)),
    Case("an empty log, claimed", (partition(next=0, head=0, committed_at=None),), Lag(State.LIVE, 0, 0.0)),
    Case("two records behind", (behind(by=2, age=0.5),), Lag(State.LIVE, 2, 0.5)),
    Case("the oldest of all counts", (behind(age=0.5), behind(1, by=3, age=1.25)), Lag(State.LIVE, 5, 1.25)),
    Case("live ends at two seconds", (behind(age=LIVE_WITHIN, committed=1),), Lag(State.CATCHING_UP, 2, 2.0)),
    Case("old records, and progress", (behind(age=7200, committed=1),), Lag(State.CATCHING_UP, 2, 7200.0)),
    Case("no progress for 30 s: not yet over", (behind(age=7200, committed=30),), Lag(State.CATCHING_UP, 2, 7200.0)),
    Case("no progress for over 30 s", (behind(age=31, committed=31),), Lag(State.STALLED, 2, 31.0)),
    Case("never a commit since an old record", (behind(age=31, committed=None),), Lag(State.STALLED, 2, 31.0)),
    Case("idle for long, then a record", (behind(age=1, committed=9000),), Lag(State.LIVE, 2, 1.0)),
    Case("one partition stands still", (behind(age=60), behind(1, age=1, committed=1)), Lag(State.STALLED, 4, 60.0)),
    Case("a broker whose clock runs ahead", (behind(age=-5),), Lag(State.LIVE, 2, 0.001)),
    Case("the age of a record since applied", (behind(age=1.5),), Lag(State.LIVE, 2, 1.5)),
    Case("a position past an old head", (partition(next=12),), Lag(State.LIVE, 0, 0.0)),
    Case("rounded up, never too low", (behind(age=0.0101),), Lag(State.LIVE, 2, 0.011)),
    Case("a head seen 4.9 s ago", (partition(observed_at=NOW - 4.9),), Lag(State.LIVE, 0, 0.0)),
    Case("a head seen 5.1 s ago", (partition(observed_at=NOW - 5.1),), UNKNOWN),
    Case("one head seen 5.1 s ago", (partition(), partition(1, observed_at=NOW - 5.1)), UNKNOWN),
    Case("a head never seen", (partition(head=None, head_incarnation=None, observed_at=None),), UNKNOWN),
    Case("no partition claimed yet", (partition(epoch=0), partition(1, epoch=0)), UNKNOWN),
    Case("one partition claimed", (partition(epoch=0), partition(1)), Lag(State.LIVE, 0, 0.0)),
    Case("the head of another incarnation", (partition(head_incarnation="j"),), UNKNOWN),
    Case("unapplied, and no record dated", (partition(next=8),), UNKNOWN),
    Case("a later record dated", (partition(next=8, oldest_position=9, oldest_at=NOW - 1),), UNKNOWN),
    Case("no partitions at all", (), UNKNOWN),
    Case("a head from the future: the clock was set back", (partition(observed_at=NOW + 1),), UNKNOWN),
    Case("a log that lost its end", (partition(next=12, oldest_position=12, oldest_at=NOW - 1),), UNKNOWN),
    Case("one partition lost its end", (partition(), partition(1, next=12, oldest_position=11)), UNKNOWN),
    Case("made anew since it lost its end", (partition(next=0, head=0, oldest_position=12),), Lag(State.LIVE, 0, 0.0)),
    Case("past the record dated last", (partition(next=12, oldest_position=10),), Lag(State.LIVE, 0, 0.0)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_state_and_lag_are_those_of_the_contract(case: Case) -> None:
    """Each situation has one state and one pair of numbers."""
    assert lag_of(frame(*case.partitions)) == case.lag


def test_partitions_that_are_not_folded_make_the_lag_unknown() -> None:
    """A topic with more partitions than positions holds events of which nobody knows how far behind they are."""
    assert lag_of(frame(partition(), partition(1), heads=2)) == Lag(State.LIVE, 0, 0.0)
    assert lag_of(frame(partition(), partition(1), heads=3)) == UNKNOWN


def test_unknown_has_no_numbers_in_the_header() -> None:
    """A reader can't take an unknown lag for none."""
    assert UNKNOWN.header() == "state=unknown"
    assert Lag(State.LIVE, 5, 0.41).header() == "events=5, seconds=0.41, state=live"


def test_an_unknown_lag_meets_no_bound() -> None:
    """`Nenrin-Max-Lag` is about what is known."""
    assert not UNKNOWN.within(1e9)
    assert Lag(State.LIVE, 5, 0.41).within(0.41)
    assert not Lag(State.LIVE, 5, 0.41).within(0.4)


def test_heads_were_observed_when_the_last_of_them_was() -> None:
    """The time is the oldest of all, and none while one head was never seen."""
    assert observed_at(frame(partition(observed_at=NOW - 1), partition(1, observed_at=NOW - 2))) == NOW - 2
    assert observed_at(frame(partition(), partition(1, observed_at=None))) is None
    assert observed_at(frame()) is None


def test_version_and_heads_name_every_partition() -> None:
    """What a frame says of the log."""
    partitions = (partition(next=4), partition(1, next=6, head=None))
    assert version_of(partitions) == Version({"documents": {0: 4, 1: 6}}, {"documents": "i"})
    assert heads_of(partitions) == {"documents": {0: 10, 1: None}}


offsets = st.integers(0, 100)
times = st.none() | st.floats(NOW - 100, NOW + 5)
partitions = st.builds(
    Partition,
    topic=st.just("documents"),
    partition=st.integers(0, 3),
    next=offsets,
    epoch=st.integers(0, 2),
    incarnation=st.just("i"),
    committed_at=times,
    head=st.none() | offsets,
    head_incarnation=st.sampled_from(["i", "i", "i", "j"]),
    observed_at=times,
    oldest_position=st.none() | offsets,
    oldest_at=times,
)


@given(st.lists(partitions, max_size=4))
def test_lag_is_honest_whatever_the_rows_are(seen: list[Partition]) -> None:
    """Numbers come with knowledge, 0 seconds with nothing unapplied, and never less than the oldest record's age."""
    lag = lag_of(frame(*seen))
    if lag.state is State.UNKNOWN:
        assert (lag.events, lag.seconds) == (None, None)
        return
    assert all(each.observed_at is not None and NOW - each.observed_at <= OBSERVED_WITHIN for each in seen)
    assert lag.events == sum(max(0, (each.head or 0) - each.next) for each in seen)
    assert lag.seconds is not None
    assert (lag.seconds > 0) == (lag.events > 0)
    for each in seen:
        if each.unapplied:
            assert each.oldest_at is not None
            assert lag.seconds >= NOW - each.oldest_at
    assert (lag.state is State.LIVE) <= (lag.seconds < LIVE_WITHIN)
    assert (lag.state is State.STALLED) <= (lag.events > 0)


@given(st.lists(partitions, max_size=4))
def test_stalled_needs_a_partition_without_progress(seen: list[Partition]) -> None:
    """As long as every lagging partition commits, the projection isn't stalled, however old its events are."""
    committing = [msgspec.structs.replace(each, committed_at=NOW - STALLED_AFTER) for each in seen]
    assert lag_of(frame(*committing)).state is not State.STALLED

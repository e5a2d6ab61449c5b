"""Parking, the pure part: what becomes of each event of a batch."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.parking import LIMIT, Settled, Standing, Waiting, settle
from projections.port import Change, Entry, Nothing, Order, Refusal
from schemas.retries import header, retry_of
from tests.projections.logs import added, nothing, refused, removed

APPEND, UPSERT = Order.APPEND, Order.UPSERT
KEY = b"c/a"


def resolutions(settled: Settled) -> list[tuple[int, int | None]]:
    """The offsets of what is parked, and what resolved them."""
    return [(row.entry.place.offset, row.resolved_by) for row in settled.rows]


def applied(settled: Settled) -> list[int]:
    """The offsets of what is folded."""
    return [entry.place.offset for entry in settled.entries if isinstance(entry.content, Change)]


def keyless(offset: int) -> Entry:
    """An event without a key, which therefore can't be valid."""
    return msgspec.structs.replace(refused(offset), key=None)


def copy(entry: Entry, of: int) -> Entry:
    """The entry as `parked retry` appends it to a topic whose events add up."""
    return msgspec.structs.replace(entry, headers=(*entry.headers, header(of)))


def test_the_next_good_event_of_a_key_heals() -> None:
    """The next, not the last of the batch, so that it doesn't depend on how the log was cut into batches."""
    settled = settle([refused(0), added(1), added(2), refused(3), refused(4, "b")], UPSERT, Standing())
    assert resolutions(settled) == [(0, 1), (3, None), (4, None)]
    assert applied(settled) == [1, 2]


def test_a_removal_heals() -> None:
    """It is as good an event as any: what the parked one would have said is past."""
    assert resolutions(settle([refused(0), removed(1)], UPSERT, Standing())) == [(0, 1)]


def test_what_waited_before_the_batch_is_healed_by_its_first_good_event() -> None:
    """All of its key at once, and of no other."""
    waiting = {KEY: [Waiting(0, 0), Waiting(1, 1)], b"c/b": [Waiting(2, 2)]}
    assert settle([nothing(4), added(5), added(6)], UPSERT, Standing(waiting)).resolved == {0: 5, 1: 5}


def test_an_event_without_a_key_heals_nothing_and_is_never_healed() -> None:
    """Nobody is its successor."""
    assert resolutions(settle([keyless(0), added(1), keyless(2)], UPSERT, Standing())) == [(0, None), (2, None)]
    assert resolutions(settle([keyless(0), keyless(1)], APPEND, Standing())) == [(0, None), (1, None)]


def test_there_is_room_up_to_the_limit_and_not_for_one_more() -> None:
    """Event by event: what comes before the event that doesn't fit is dealt with, it and what follows is not."""
    batch = [added(0, "x"), refused(1, "a"), added(2, "y"), refused(3, "b"), added(4, "b")]
    settled = settle(batch, UPSERT, Standing(room=1))
    assert applied(settled) == [0, 2]
    assert resolutions(settled) == [(1, None)]
    assert len(settled.entries) == 3, "a good event behind it would heal it, but it comes too late"


def test_healing_makes_room() -> None:
    """Within the batch, and of what waited before; what somebody has dealt with already took none."""
    batch = [refused(0, "a"), added(1, "a"), refused(2, "b")]
    assert len(settle(batch, UPSERT, Standing(room=1)).entries) == 3
    waiting = {KEY: [Waiting(0, 0)]}
    assert len(settle([added(1), refused(2, "b")], UPSERT, Standing(waiting, room=0)).entries) == 2
    waiting = {KEY: [Waiting(0, 0, retried=True)]}
    assert len(settle([added(1), refused(2, "b")], UPSERT, Standing(waiting, room=0)).entries) == 1


def test_what_was_skipped_stays_skipped_when_the_log_is_folded_again() -> None:
    """Even if it could be applied now; it takes no room, and holds up nobody."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for order in Order:
        settled = settle([added(0), refused(1), added(2)], order, Standing(room=0, skipped={0: at, 1: at}))
        assert [(row.entry.place.offset, row.skipped_at) for row in settled.rows] == [(0, at), (1, at)]
        assert applied(settled) == [2]
        assert not settled.resolved


def test_behind_a_parked_event_of_its_key_an_appended_one_is_parked() -> None:
    """In order, saying behind which; neighbours of other keys go on."""
    settled = settle([refused(0), added(1), added(2, "b"), removed(3)], APPEND, Standing())
    assert applied(settled) == [2]
    assert [row.reason for row in settled.rows] == [
        "text: missing",
        "behind documents/0@0 of the same key, which is parked",
        "behind documents/0@0 of the same key, which is parked",
    ]
    later = settle([added(4), added(5, "b")], APPEND, Standing({KEY: [Waiting(0, 0), Waiting(1, 1)]}))
    assert applied(later) == [5]


def test_copies_take_the_turns_of_their_originals() -> None:
    """Appended again in order, good ones are applied and resolve what they are copies of."""
    waiting = {KEY: [Waiting(0, 0), Waiting(1, 1)]}
    settled = settle([copy(added(7), 0), copy(added(8), 1), added(9)], APPEND, Standing(waiting))
    assert applied(settled) == [7, 8, 9]
    assert settled.resolved == {0: 7, 1: 8}


def test_a_copy_that_is_bad_again_keeps_its_turn() -> None:
    """Those behind it wait on, behind the copy; a third try then brings all of them, in order."""
    waiting = {KEY: [Waiting(0, 0), Waiting(1, 1), Waiting(6, 6)]}
    bad = msgspec.structs.replace(copy(added(7), 0), content=Refusal("bad again"))
    settled = settle([bad, copy(added(8), 1)], APPEND, Standing(waiting))
    assert settled.resolved == {0: 7, 1: 8}
    assert [(row.entry.place.offset, row.rank, row.reason) for row in settled.rows] == [
        (7, 0, "bad again"),
        (8, 1, "behind documents/0@7 of the same key, which is parked"),
    ]
    waiting = {KEY: [Waiting(7, 0), Waiting(8, 1), Waiting(6, 6)]}
    again = [copy(added(10), 7), copy(added(11), 8), copy(added(12), 6)]
    assert applied(settle(again, APPEND, Standing(waiting))) == [10, 11, 12]


def test_a_copy_passes_nobody() -> None:
    """One that is retried alone, while an earlier event of its key still waits, waits on."""
    waiting = {KEY: [Waiting(0, 0), Waiting(1, 1)]}
    settled = settle([copy(added(7), 1)], APPEND, Standing(waiting))
    assert (applied(settled), resolutions(settled), settled.resolved) == ([], [(7, None)], {1: 7})


def test_a_second_copy_changes_nothing() -> None:
    """The original is dealt with: applied by the first copy, skipped, or in another build never parked at all."""
    settled = settle([copy(added(7), 0), copy(added(8), 0)], APPEND, Standing({KEY: [Waiting(0, 0)]}))
    assert applied(settled) == [7]
    assert settled.entries[1].content == Nothing(events=1)
    assert applied(settle([copy(added(7), 0)], APPEND, Standing())) == []


def test_a_copy_for_which_there_is_no_room_waits_with_its_original_untouched() -> None:
    """Its original no longer counts, so that the copy would be one too many."""
    waiting = {KEY: [Waiting(0, 0, retried=True)]}
    bad = msgspec.structs.replace(copy(added(7), 0), content=Refusal("bad again"))
    settled = settle([bad], APPEND, Standing(waiting, room=0))
    assert (settled.entries, settled.rows, settled.resolved) == ([], [], {})


@pytest.mark.parametrize("said", [b"", b"x", b"7", b"9", b"-1", b"9" * 19, "²".encode(), None])
def test_a_header_that_names_no_earlier_record_makes_no_copy(said: bytes | None) -> None:
    """Whoever sets it: the event is one like any other."""
    assert retry_of([("nenrin_retry_of", said)], 7) is None
    assert retry_of([("nenrin_retry_of", b"3")], 7) == 3


Step = tuple[str, bool]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=30), st.data(), st.sampled_from([*Order]))
def test_how_the_log_is_cut_into_batches_does_not_matter(steps: list[Step], data: st.DataObject, order: Order) -> None:
    """The same is applied, parked and resolved, whether events come one by one or many at once."""
    log = [added(n, name) if good else refused(n, name) for n, (name, good) in enumerate(steps)]
    whole = settle(log, order, Standing())
    cut = data.draw(st.integers(0, len(log)))
    first = settle(log[:cut], order, Standing())
    waiting: dict[bytes, list[Waiting]] = {}
    for row in first.rows:
        if row.resolved_by is None and row.entry.key is not None:
            waiting.setdefault(row.entry.key, []).append(Waiting(row.entry.place.offset, row.entry.place.offset))
    second = settle(log[cut:], order, Standing(waiting))
    resolved = {row.entry.place.offset: row.resolved_by for row in (*first.rows, *second.rows)}
    resolved.update(second.resolved)
    assert applied(first) + applied(second) == applied(whole)
    assert resolved == dict(resolutions(whole))


def test_the_limit_by_default() -> None:
    """A thousand, as the contract has it."""
    assert LIMIT == 1_000
    settled = settle([refused(n, f"d{n}") for n in range(1_001)], UPSERT, Standing())
    assert len(settled.rows) == 1_000

"""Parking, the pure part: what a batch parks and what it heals."""

import msgspec

from projections import parking
from tests.projections.logs import added, refused


def test_a_later_good_event_of_the_same_key_heals() -> None:
    """Of two refused events of a key, the one before the good event is resolved by it, the one after is not."""
    rows = parking.to_park([refused(0), added(1), refused(2), refused(3, "b")])
    assert [(row[2], row[7]) for row in rows] == [(0, 1), (2, None), (3, None)]


def test_a_parked_event_keeps_what_it_was() -> None:
    """Bytes, key and headers are kept as they came."""
    (row,) = parking.to_park([refused(0)])
    assert row[3:6] == (b"c/a", "text: missing", b"\xff")
    assert msgspec.msgpack.decode(row[6]) == [["ce_id", b"1"]]

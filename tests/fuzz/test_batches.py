"""Any batch that a broker takes is read, record by record, whatever its producer put inside."""

import struct
import tracemalloc

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from eventlog import batches
from eventlog.batches import UNREAD, Batches
from eventlog.delivery import Delivered, TopicPartition
from schemas.records import Record
from tests.fuzz import fuzzed
from tests.fuzz.batches import CODECS, Raw, batch, sealed

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=4).map(str.encode)
CONTENT = st.none() | st.binary(max_size=40)
HEADERS = st.lists(st.tuples(NAMES, CONTENT), max_size=4)
STRANGE_HEADERS = st.lists(st.tuples(st.binary(max_size=4), CONTENT), max_size=4)
TIMES = st.integers(-(2**40), 2**40)
CODEC = st.sampled_from(sorted(CODECS))


def raws(headers: st.SearchStrategy[list[tuple[bytes, bytes | None]]]) -> st.SearchStrategy[list[Raw]]:
    return st.lists(st.builds(Raw, CONTENT, CONTENT, headers, time=TIMES), min_size=1, max_size=8)


@fuzzed
@given(raws(HEADERS), CODEC, TIMES)
def test_batches_of_any_client_are_read_as_aiokafka_reads_them(records: list[Raw], codec: int, first: int) -> None:
    """The same offsets, times, keys, values and headers, in every compression, two batches in a fetch."""
    raw = batch(records, codec, first) * 2
    assert seen(Batches(raw)) == seen(MemoryRecords(raw))


@fuzzed
@given(raws(STRANGE_HEADERS), CODEC, st.lists(st.integers(0, 255), min_size=8, max_size=8))
def test_strange_names_and_bits_change_nothing_of_a_record(records: list[Raw], codec: int, bits: list[int]) -> None:
    """Header names of any bytes, reserved bits set, offsets told wrong: key, value and the rest are what was sent."""
    strange = [
        Raw(each.key, each.value, each.headers, bit, delta=bit) for each, bit in zip(records, bits, strict=False)
    ]
    found = seen(Batches(batch(strange, codec)))
    assert [offset for offset, *_ in found] == list(range(len(strange)))
    for each, (_, _, key, value, headers) in zip(strange, found, strict=True):
        assert (key, value) == (each.key, each.value)
        assert list(headers) == [(name.decode(errors="backslashreplace"), content) for name, content in each.headers]


@pytest.mark.parametrize("codec", CODECS)
def test_a_reserved_bit_makes_no_other_record(codec: int) -> None:
    """One that aiokafka takes for another, at the same offset, without a word."""
    raw = Raw(b"", b"\x02\x02", [(b"\x02\x02", b"\x02\x02")], attributes=0x80)
    assert seen(Batches(batch([raw], codec))) == [(0, 0, b"", b"\x02\x02", (("\x02\x02", b"\x02\x02"),))]


@fuzzed
@given(raws(STRANGE_HEADERS), CODEC, st.data())
def test_no_bytes_inside_a_batch_raise_or_lose_count(records: list[Raw], codec: int, data: st.DataObject) -> None:
    """However its inside is spoilt, a batch yields one record for each offset: unreadable ones without content."""
    plain = bytearray(batch(records)[61:])
    for at in data.draw(st.lists(st.integers(0, len(plain) - 1), max_size=4)):
        plain[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(plain)))
    found = seen(Batches(sealed(bytes(plain[:cut]), len(records), codec)))
    assert [offset for offset, *_ in found] == list(range(len(records)))


@fuzzed
@given(st.binary(max_size=200), st.integers(1, 4))
def test_what_cannot_be_decompressed_is_read_as_records_without_content(packed: bytes, codec: int) -> None:
    """A codec that this machine refuses costs the batch its content, and the log nothing else."""
    plain = sealed(b"", 3)
    raw = bytearray(plain + packed)
    raw[22] |= codec
    raw[8:12] = struct.pack(">i", len(raw) - 12)
    assert [offset for offset, *_ in seen(Batches(bytes(raw)))] == [0, 1, 2]


@pytest.mark.parametrize("codec", [1, 3, 4])
def test_a_batch_that_inflates_without_end_takes_bounded_memory(codec: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records before the limit are read, the others are there without content and with the reason."""
    monkeypatch.setattr(batches, "INFLATED", 1024 * 1024)
    bomb = batch([Raw(b"a", b"small"), Raw(b"b", bytes(64 * 1024 * 1024)), Raw(b"c", b"small")], codec)
    tracemalloc.start()
    first, second, third = seen(Batches(bomb))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert first[2:] == (b"a", b"small", ())
    for record in (second, third):
        assert record[2:] == (None, None, ((UNREAD, b"its batch inflates to more than 1,048,576 bytes"),))
    assert peak < 8 * 1024 * 1024, peak


def test_headers_count_in_what_waits() -> None:
    """A record that is nothing but headers takes its room in an inbox."""
    headers = tuple((f"h{number}", b"v" * 100) for number in range(10_000))
    bare, whole = (
        Delivered(TopicPartition("t", 0), 1, 0, 1, Record("t", 0, 0, 0, None, None, some)) for some in ((), headers)
    )
    assert whole.size > bare.size + 10_000 * 100


def test_the_beginning_of_a_batch_is_none() -> None:
    """A fetch may end anywhere."""
    raw = batch([Raw(b"a", b"b")])
    for end in range(len(raw)):
        assert not Batches(raw[:end]).has_next()
    assert len(seen(Batches(raw + raw[:-1]))) == 1


def seen(found: Batches | MemoryRecords) -> list[tuple[int, int, bytes | None, bytes | None, tuple[object, ...]]]:
    """All that a fetcher takes from its records."""
    records = []
    while found.has_next():
        one = found.next_batch()
        records += [(each.offset, each.timestamp, each.key, each.value, tuple(each.headers)) for each in one]
    return records

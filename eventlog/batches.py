"""Record batches as a log holds them, read whatever a producer put inside.

A broker looks at the frames of records, not into them: header names that are not UTF-8, reserved bits, offsets that
contradict each other, and kilobytes that inflate to gigabytes all get into a log and stay there. aiokafka raises on the
first for ever, takes the second for another record without a word, and inflates the last in memory. So what its fetcher
makes of a fetch is made here: by aiokafka's own fast parser, record by record, as long as that is right, and from
then on by ours. Formats: https://kafka.apache.org/documentation/#messageformat
"""

import mmap
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import cramjam
import msgspec
from aiokafka.codec import snappy_decode
from aiokafka.errors import KafkaError
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords

INFLATED = 128 * 1024 * 1024
"""Bytes that a batch may inflate to. librdkafka reads no more than 100 MB, and clients make batches of about 1 MB."""

UNREAD = "nenrin-unread"
"""The header, its value says why, of a record that is handed on without its content. No event is valid without one."""

_SIZE = struct.Struct(">8xi")
_CODEC = 0x07
_LOG_APPEND_TIME = 0x08
_ATTRIBUTES = 22  # the lower byte of them
_HEAD = struct.Struct(">q8xb4xhiqq14xi")

Headers = tuple[tuple[str, bytes | None], ...]


class Parsed(msgspec.Struct, frozen=True):
    """A record as aiokafka's fetcher takes it from a parser."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    checksum: None = None


class Head(NamedTuple):
    """What a batch says of itself, as far as its records depend on it."""

    base: int
    magic: int
    attributes: int
    last_delta: int
    first_time: int
    last_time: int
    records: int

    @property
    def time_type(self) -> int:
        """1 where the broker's clock gave the time, 0 where the producer's did."""
        return int(bool(self.attributes & _LOG_APPEND_TIME))

    @property
    def is_dense(self) -> bool:
        """Whether nothing was taken out of the batch since it was written; only compacted topics do that."""
        return self.records == self.last_delta + 1


class Batches:
    """The batches of one fetch, instead of aiokafka's `MemoryRecords`."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def size_in_bytes(self) -> int:
        """What was fetched; its end may be the beginning of a batch that did not fit."""
        return len(self._raw)

    def has_next(self) -> bool:
        """Whether another whole batch is there."""
        return 0 < self._next_size() <= len(self._raw) - self._at

    def next_batch(self) -> Any:
        """The next batch; aiokafka's own where it is none of records, or of the formats before Kafka 0.11."""
        size = self._next_size()
        raw = self._raw[self._at : self._at + size]
        self._at += size
        fast = MemoryRecords(raw).next_batch()
        head = Head(*_HEAD.unpack_from(raw)) if len(raw) >= _HEAD.size else None
        return fast if head is None or head.magic < 2 or fast.is_control_batch else Batch(raw, head, fast)

    def _next_size(self) -> int:
        if len(self._raw) - self._at < _SIZE.size:
            return 0
        size: int = _SIZE.unpack_from(self._raw, self._at)[0]
        return _SIZE.size + size


class Batch:
    """One batch of records; what it says of itself is read by aiokafka's `fast` one."""

    def __init__(self, raw: bytes, head: Head, fast: Any) -> None:
        self._raw = raw
        self._head = head
        self._fast = fast

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fast, name)

    def __iter__(self) -> Iterator[Any]:
        """Its records, in order."""
        head = self._head
        plain, fault = plain_of(self._raw, head.attributes)
        fast = iter(DefaultRecordBatch(plain))
        at = _HEAD.size
        for index in range(head.records):
            try:
                start, end = _frame(plain, at)
                record = None if plain[start] else next(fast)
            except (ValueError, IndexError, StopIteration, KafkaError):
                record = None
            if record is None or record.offset != head.base + index:
                yield from carefully(plain, at, head, index, fault)
                return
            yield record
            at = end


def carefully(plain: bytearray, at: int, head: Head, index: int, fault: str) -> Iterator[Parsed]:
    """The records of a batch from the `index`-th on, which begins at byte `at`; `fault` is why some may be missing."""
    for number in range(index, head.records):
        try:
            start, end = _frame(plain, at)
        except (ValueError, IndexError):
            yield _unread(head, number, fault or "its batch ends before it")
            continue
        at = end
        try:
            record = _parsed(plain[start:end], head, number)
        except (ValueError, IndexError):
            record = _unread(head, number, "it contradicts itself")
        yield record


def _frame(plain: bytearray, at: int) -> tuple[int, int]:
    low, high = plain[at], plain[at + 1]
    if high < 0x80 <= low:  # nearly all records have a size of two bytes
        size, start = _zigzag(low & 0x7F | high << 7), at + 2
    else:
        size, start = _varint(plain, at)
    if size <= 0 or start + size > len(plain):
        raise IndexError
    return start, start + size


def _parsed(raw: bytearray, head: Head, number: int) -> Parsed:
    time_delta, at = _varint(raw, 1, bits=64)  # behind the attributes, none of which is in use
    delta, at = _varint(raw, at)
    key, at = _bytes(raw, at)
    value, at = _bytes(raw, at)
    # Only a batch that was compacted has holes; that of another one's producer could not count.
    offset = head.base + (number if head.is_dense else delta)
    time = head.last_time if head.time_type else head.first_time + time_delta
    return Parsed(offset, time, head.time_type, key, value, _headers(raw, at))


def _unread(head: Head, number: int, why: str) -> Parsed:
    return Parsed(head.base + number, head.last_time, head.time_type, None, None, ((UNREAD, why.encode()),))


def _headers(plain: bytearray, at: int) -> Headers:
    headers: list[tuple[str, bytes | None]] = []
    count, at = _varint(plain, at)
    for _ in range(count):
        name, at = _bytes(plain, at)
        value, at = _bytes(plain, at)
        # what is no UTF-8 names no header that anybody knows, and shows what it was
        headers.append(((name or b"").decode(errors="backslashreplace"), value))
    return tuple(headers)


def _bytes(plain: bytearray, at: int) -> tuple[bytes | None, int]:
    size, at = _varint(plain, at)
    if size < 0:
        return None, at
    if at + size > len(plain):
        raise IndexError
    return bytes(plain[at : at + size]), at + size


def _varint(plain: bytearray, at: int, bits: int = 32) -> tuple[int, int]:
    """A zigzag number and where it ends; as in Java, bits that are too many fall away."""
    number = shift = 0
    while True:
        byte = plain[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            number &= (1 << bits) - 1
            return _zigzag(number), at
        if (shift := shift + 7) >= bits:
            raise ValueError("a number without an end")


def _zigzag(number: int) -> int:
    return (number >> 1) ^ -(number & 1)


def plain_of(raw: bytes, attributes: int) -> tuple[bytearray, str]:
    """The batch without compression, and why it is not all there, if it isn't."""
    codec = attributes & _CODEC
    if not codec:
        return bytearray(raw), ""
    plain = bytearray(raw[: _HEAD.size])
    plain[_ATTRIBUTES] &= ~_CODEC
    try:
        inflated, is_whole = _INFLATERS[codec](raw[_HEAD.size :])
    except (KeyError, OSError, EOFError, ValueError, zlib.error, cramjam.DecompressionError) as error:
        return plain, f"its batch cannot be decompressed (codec {codec}): {error}"
    plain += inflated
    return plain, "" if is_whole else f"its batch inflates to more than {INFLATED:,} bytes"


def _gzip(packed: bytes) -> tuple[bytes, bool]:
    found = b""
    while packed and len(found) <= INFLATED:
        member = zlib.decompressobj(wbits=31)
        found += member.decompress(packed, INFLATED + 1 - len(found))
        packed = member.unused_data
    return found[:INFLATED], len(found) <= INFLATED


def _snappy(packed: bytes) -> tuple[bytes, bool]:
    found = snappy_decode(packed)  # at most 21 times as much: the format can't say more
    return found[:INFLATED], len(found) <= INFLATED


def _lz4(packed: bytes) -> tuple[bytes, bool]:
    return _into_limit(cramjam.lz4.decompress_into, packed)


def _zstd(packed: bytes) -> tuple[bytes, bool]:
    return _into_limit(cramjam.zstd.decompress_into, packed)


def _into_limit(decompress_into: Any, packed: bytes) -> tuple[bytes, bool]:
    with mmap.mmap(-1, INFLATED) as room:  # memory is taken as it fills
        try:
            return room[: decompress_into(packed, room)], True
        except cramjam.DecompressionError as error:
            if "write whole buffer" not in str(error):
                raise
            return room[:], False


_INFLATERS = {1: _gzip, 2: _snappy, 3: _lz4, 4: _zstd}

"""What changed between two versions: documents that were added, changed and removed, from the log alone.

First the stretch between them is read, which says what may have changed; then the log before it, for what those
documents were. Of each a digest is kept, and nothing of what did not change.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any

import msgspec

from eventlog.connection import KafkaSettings
from eventlog.planning import Bounds
from eventlog.topics import Topics
from projections.port import Change
from projections.positions import Position
from schemas.documents import DocumentAdded, DocumentEvent, key_of
from schemas.errors import MalformedToken
from schemas.versions import Version, parse
from services.replay import reading, times
from services.replay.reading import Stretch
from services.replay.times import Until

BEFORE, AFTER = "the first VERSION", "the second VERSION"

Offsets = Mapping[int, int]
"""The next offset of each partition."""
Told = Callable[[int, int], None]
"""Is told how many records are read, and how many there are to read."""

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class How(StrEnum):
    """What became of a document."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


class Place(msgspec.Struct, frozen=True):
    """Where the event lies that a document was made by."""

    partition: int
    offset: int


class Difference(msgspec.Struct, frozen=True):
    """A document that the two versions don't have alike; None where it isn't there."""

    change: How
    collection: str
    document_id: str
    before: Place | None
    after: Place | None


class Between(msgspec.Struct, frozen=True):
    """Two versions of a log; in each partition `before` and `after` may lie either way round."""

    kafka: KafkaSettings
    stretch: Stretch
    before: Offsets
    after: Offsets

    @property
    def differing(self) -> dict[int, tuple[int, int]]:
        """The stretch between them, of each partition that has one."""
        ends = {partition: sorted((self.before[partition], self.after[partition])) for partition in self.before}
        return {partition: (low, high) for partition, (low, high) in ends.items() if low < high}


class Last(msgspec.Struct, frozen=True):
    """The last valid event of a document: where it lies, and a digest of what it says; None for a removal."""

    offset: int
    content: bytes | None


def read(text: str, what: str) -> times.Read:
    """A version token, that of nothing too, or a time. Raises `InvalidInput`."""
    try:
        return times.Read(parse(text.strip()))
    except MalformedToken:
        return times.read(text, what)


async def between(kafka: KafkaSettings, before: Until, after: Until) -> Between:
    """Find both versions in the log as it is now.

    Raises `InvalidInput` for what the log does not hold, `OtherIncarnation`, `TopicMismatch`, `LogAway`.
    """
    stretch = await reading.stretch(kafka, None)
    ends = [await _offsets(kafka, stretch, until, what) for until, what in ((before, BEFORE), (after, AFTER))]
    return Between(kafka, stretch, *ends)


async def _offsets(kafka: KafkaSettings, stretch: Stretch, until: Until, what: str) -> Offsets:
    bounds = {partition: Bounds(begin, stretch.ends[partition]) for partition, begin in stretch.begins.items()}
    if isinstance(until, Version):
        found = times.positions(until, stretch.source, bounds, what)
    else:
        later = await Topics(kafka).later_than(stretch.source, times.milliseconds(until, datetime.now(UTC), what))
        found = times.settled(later, bounds, what)
    return {partition: max(offset, bounds[partition].begin) for partition, offset in found.items()}


async def differences(
    versions: Between, collection: str | None = None, told: Told = lambda done, total: None
) -> AsyncGenerator[Difference]:
    """The documents that differ, or those of a collection; partition by partition, by key.

    Raises `LogAway`, and `PositionLost` where the log loses records meanwhile.
    """
    prefix = b"" if collection is None else key_of(collection, "")
    begins, way = versions.stretch.begins, _Way(versions, told)
    for partition, (low, high) in versions.differing.items():
        later = await _lasts(versions, partition, (low, high), lambda key: key.startswith(prefix), way)
        earlier = await _lasts(versions, partition, (begins[partition], low), later.__contains__, way) if later else {}
        if not later:
            way.gone(low - begins[partition])
        forward = versions.before[partition] == low
        for key in sorted(later):
            ends = (earlier.get(key), later[key]) if forward else (later[key], earlier.get(key))
            if (found := _difference(partition, key, *ends)) is not None:
                yield found


class _Way:
    """How much is read of what there may be to read."""

    def __init__(self, versions: Between, told: Told) -> None:
        self._total = sum(high - versions.stretch.begins[at] for at, (_, high) in versions.differing.items())
        self._done = 0
        self._told = told

    def gone(self, offsets: int) -> None:
        """So much further."""
        self._done += offsets
        self._told(self._done, self._total)


async def _lasts(
    versions: Between, partition: int, stretch: tuple[int, int], wanted: Callable[[bytes], bool], way: _Way
) -> dict[bytes, Last]:
    """The last valid event in a stretch of a partition, of each key that is wanted."""
    low, high = stretch
    lasts: dict[bytes, Last] = {}
    if low == high:
        return lasts
    entries = reading.entries(versions.kafka, versions.stretch, {partition: Position(low, low)}, {partition: high})
    async with aclosing(entries) as batches:
        async for batch in batches:
            for entry in batch:
                if isinstance(entry.content, Change) and entry.key is not None and wanted(entry.key):
                    lasts[entry.key] = Last(entry.place.offset, content(entry.content.event))
            way.gone(batch[-1].place.next - batch[0].place.since)
    return lasts


def _difference(partition: int, key: bytes, before: Last | None, after: Last | None) -> Difference | None:
    was, now = _there(before), _there(after)
    if was == now or (was is not None and now is not None and was.content == now.content):
        return None
    how = How.ADDED if was is None else How.REMOVED if now is None else How.CHANGED
    collection, _, document_id = key.decode().partition("/")
    return Difference(how, collection, document_id, _place(partition, was), _place(partition, now))


def _there(last: Last | None) -> Last | None:
    return None if last is None or last.content is None else last


def _place(partition: int, last: Last | None) -> Place | None:
    return None if last is None else Place(partition, last.offset)


def content(event: DocumentEvent) -> bytes | None:
    """A digest of all that a document says, whatever the order of its metadata; None for a removal. Pure."""
    if not isinstance(event, DocumentAdded):
        return None
    said = event.text, event.title, _normal(event.metadata), event.source_uri
    return blake2b(_encode(said), digest_size=16).digest()


def _normal(value: Any) -> Any:
    """JSON as it is compared: 1.0 is 1, and true is neither."""
    if isinstance(value, dict):
        return {key: _normal(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_normal(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**63 else value

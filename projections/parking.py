"""Parking: what becomes of each event of a batch, those that can't be folded and those behind them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from projections.port import Change, Entry, Nothing, Order, Refusal
from schemas.retries import retry_of

LIMIT = 1_000
"""Events that a projection parks, and nobody deals with, before it stops."""


class Waiting(msgspec.Struct, frozen=True):
    """A parked event that nothing has resolved. `rank` is its turn among those of its key.

    `retried`: somebody has dealt with it, so that it no longer counts against the limit.
    """

    offset: int
    rank: int
    retried: bool = False


class Standing(msgspec.Struct, frozen=True):
    """What is parked before a batch: by key those that wait, in the order of their turns, and how many more may come.

    `skipped`: offsets of the batch that an operator gave up when another build of the projection had parked them.
    """

    waiting: Mapping[bytes, Sequence[Waiting]] = {}
    room: int = LIMIT
    skipped: Mapping[int, datetime] = {}


class Row(msgspec.Struct):
    """A row of `parked`."""

    entry: Entry
    reason: str
    rank: int | None = None
    resolved_by: int | None = None
    skipped_at: datetime | None = None


class Settled(msgspec.Struct, frozen=True):
    """A batch that has been gone through, or as much of it as there was room for.

    `rows` are to be parked; `resolved` says by which offset those that waited before are resolved.
    """

    entries: list[Entry]
    rows: list[Row]
    resolved: Mapping[int, int]


def refused(entry: Entry, reason: str) -> Entry:
    """The same entry, to be parked for `reason`."""
    return msgspec.structs.replace(entry, content=Refusal(reason))


def is_parked(entry: Entry) -> bool:
    """Whether the entry is to be parked already."""
    return isinstance(entry.content, Refusal)


def bare(entry: Entry) -> Entry:
    """The same entry without its bytes, should they be what can't be kept: the log has them."""
    return msgspec.structs.replace(entry, value=None, headers=())


def settle(entries: Sequence[Entry], order: Order, standing: Standing) -> Settled:
    """Go through a batch, event by event, up to the first that has to be parked and for which there is no room."""
    lot = _Lot(standing)
    take = {Order.UPSERT: lot.upsert, Order.APPEND: lot.append}[order]
    for entry in entries:
        if not take(entry):
            break
    return Settled(lot.entries, list(lot.rows.values()), lot.resolved)


def is_settled(entries: Iterable[Entry], order: Order, standing: Standing) -> bool:
    """Whether all of a batch is folded as it stands: nothing to park in it, and nobody waits for it.

    Not said of events that add up: a copy among them is nothing where its original does not wait.
    """
    if order is not Order.UPSERT or standing.waiting or any(map(is_parked, entries)):
        return False
    return not standing.skipped or all(entry.place.offset not in standing.skipped for entry in entries)


def after(standing: Standing, settled: Settled) -> Standing:
    """What is parked behind a batch, for whoever goes through the next one without asking Postgres again."""
    resolved = [
        waiting for those in standing.waiting.values() for waiting in those if waiting.offset in settled.resolved
    ]
    parked = [row for row in settled.rows if row.resolved_by is None and row.skipped_at is None]
    waiting = {
        key: [each for each in those if each.offset not in settled.resolved] for key, those in standing.waiting.items()
    }
    for row in parked:
        if row.entry.key is not None:
            offset = row.entry.place.offset
            waiting.setdefault(row.entry.key, []).append(Waiting(offset, offset if row.rank is None else row.rank))
    room = standing.room - len(parked) + sum(not each.retried for each in resolved)
    ordered = {key: sorted(those, key=lambda each: each.rank) for key, those in waiting.items() if those}
    return Standing(ordered, room, standing.skipped)


class _Lot:
    """The parked events while a batch is gone through."""

    def __init__(self, standing: Standing) -> None:
        self.entries: list[Entry] = []
        self.rows: dict[int, Row] = {}
        self.resolved: dict[int, int] = {}
        self._waiting = {key: list(those) for key, those in standing.waiting.items()}
        self._room = standing.room
        self._skipped = standing.skipped

    def upsert(self, entry: Entry) -> bool:
        """Each event replaces those of its key before it: a good one heals them all. False: no room."""
        if self._skip(entry):
            return True
        if isinstance(entry.content, Refusal):
            return self._park(entry, entry.content.reason)
        if isinstance(entry.content, Change):
            for waiting in self._of(entry).copy():
                self._resolve(entry, waiting)
        self.entries.append(entry)
        return True

    def append(self, entry: Entry) -> bool:
        """Each event adds to those of its key before it: none passes one that is parked. False: no room."""
        if isinstance(entry.content, Nothing):
            self.entries.append(entry)
            return True
        if self._skip(entry):
            return True
        if (original := retry_of(entry.headers, entry.place.offset)) is not None:
            return self._retry(entry, original)
        if (reason := self._obstacle(entry, self._of(entry))) is not None:
            return self._park(entry, reason)
        self.entries.append(entry)
        return True

    def _skip(self, entry: Entry) -> bool:
        """Keep what was given up on record, where it changes nothing and holds nothing up."""
        if (at := self._skipped.get(entry.place.offset)) is None:
            return False
        reason = entry.content.reason if isinstance(entry.content, Refusal) else "skipped by an operator"
        self._add(Row(entry, reason, skipped_at=at))
        return True

    def _retry(self, copy: Entry, original: int) -> bool:
        """A copy takes the turn of its original; where that waits no more, it was dealt with: the copy is nothing."""
        those = self._of(copy)
        found = next((waiting for waiting in those if waiting.offset == original), None)
        if found is None:
            self.entries.append(msgspec.structs.replace(copy, content=Nothing(events=1)))
            return True
        reason = self._obstacle(copy, those[: those.index(found)])
        if reason is not None and self._room + (not found.retried) <= 0:
            return False
        self._resolve(copy, found)
        if reason is None:
            self.entries.append(copy)
            return True
        return self._park(copy, reason, found.rank)

    def _obstacle(self, entry: Entry, before: Sequence[Waiting]) -> str | None:
        """Why an event can't be applied now; None when it can."""
        if isinstance(entry.content, Refusal):
            return entry.content.reason
        if not before:
            return None
        place = entry.place
        return f"behind {place.topic}/{place.partition}@{before[0].offset} of the same key, which is parked"

    def _park(self, entry: Entry, reason: str, rank: int | None = None) -> bool:
        if self._room <= 0:
            return False
        self._room -= 1
        self._add(Row(entry, reason, rank))
        return True

    def _add(self, row: Row) -> None:
        entry, offset = row.entry, row.entry.place.offset
        self.entries.append(refused(entry, row.reason))
        self.rows[offset] = row
        if entry.key is not None and row.skipped_at is None:
            those = self._of(entry)
            those.append(Waiting(offset, offset if row.rank is None else row.rank))
            those.sort(key=lambda waiting: waiting.rank)

    def _resolve(self, by: Entry, waiting: Waiting) -> None:
        self._of(by).remove(waiting)
        self._room += not waiting.retried
        if (row := self.rows.get(waiting.offset)) is not None:
            row.resolved_by = by.place.offset
        else:
            self.resolved[waiting.offset] = by.place.offset

    def _of(self, entry: Entry) -> list[Waiting]:
        """Those that wait under the entry's key; an event without a key is nobody's successor."""
        return [] if entry.key is None else self._waiting.setdefault(entry.key, [])

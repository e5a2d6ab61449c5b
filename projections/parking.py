"""Parking: which events of a batch cannot be folded, and which of those a later good event has healed. Pure."""

from collections.abc import Sequence

import msgspec

from projections.port import Change, Entry, Refusal

Row = tuple[str, int, int, bytes | None, str, bytes | None, bytes, int | None]


def refused(entry: Entry, reason: str) -> Entry:
    """The same entry, to be parked for `reason`."""
    return msgspec.structs.replace(entry, content=Refusal(reason))


def is_parked(entry: Entry) -> bool:
    """Whether the entry is to be parked already."""
    return isinstance(entry.content, Refusal)


def healing(entries: Sequence[Entry]) -> dict[bytes, int]:
    """The last good event of each key, by offset: it resolves whatever is parked under that key before it."""
    return {
        entry.key: entry.place.offset
        for entry in entries
        if entry.key is not None and isinstance(entry.content, Change)
    }


def to_park(entries: Sequence[Entry]) -> list[Row]:
    """The rows to park, those that a later event of the same batch heals marked with its offset."""
    healed = healing(entries)
    return [_row(entry, entry.content, healed) for entry in entries if isinstance(entry.content, Refusal)]


def _row(entry: Entry, refusal: Refusal, healed: dict[bytes, int]) -> Row:
    place = entry.place
    later = -1 if entry.key is None else healed.get(entry.key, -1)
    return (
        place.topic,
        place.partition,
        place.offset,
        entry.key,
        refusal.reason.replace("\0", "\\0"),
        entry.value,
        msgspec.msgpack.encode(entry.headers),
        later if later > place.offset else None,
    )

"""Until when: a version token, or a time. Pure. `what` is how the caller calls it, for those who are refused."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from eventlog.planning import Bounds, Identity
from schemas.errors import InvalidInput, MalformedToken, OtherIncarnation
from schemas.topics import DOCUMENTS
from schemas.versions import Version, parse

_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?P<zone>[Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UNTIL = "--until"
Until = Version | datetime


class Read(msgspec.Struct, frozen=True):
    """What `--until` says, and what was taken for granted in it, in a line; "" where nothing was."""

    until: Until
    taken: str = ""


def read(text: str, what: str = UNTIL) -> Read:
    """A token, or an RFC 3339 time, whose zone, seconds and time of day may be left out. Raises `InvalidInput`."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return Read(_token(text.strip(), what))
    try:
        time = datetime.fromisoformat(text.strip().upper())
    except ValueError as error:
        raise InvalidInput(what, f"{text!r} is no time: {error}") from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
        return Read(time, f"{text} names no zone: UTC is taken, {time.isoformat()}")
    return Read(time)


def _token(text: str, what: str) -> Version:
    try:
        version = parse(text)
    except MalformedToken as error:
        raise InvalidInput(
            what, f"{error.message} (or a time as 2026-11-21T20:00:00Z, but {text[:40]!r} is none)"
        ) from None
    if DOCUMENTS not in version.offsets:
        raise InvalidInput(what, f"the token says nothing of {DOCUMENTS}, which the projections are folded from")
    return version


def milliseconds(time: datetime, now: datetime, what: str = UNTIL) -> int:
    """A time as brokers count it, milliseconds since 1970, rounded down. Raises `InvalidInput` where it is to come."""
    if time > now:
        raise InvalidInput(what, f"{time.isoformat()} is yet to come: it is {now.isoformat(timespec='seconds')}")
    return (time - _EPOCH) // timedelta(milliseconds=1)


def unnamed(version: Version, partitions: int) -> list[int]:
    """The partitions that a version says nothing of."""
    named = version.offsets.get(DOCUMENTS, {})
    return [partition for partition in range(partitions) if partition not in named]


def positions(version: Version, source: Identity, bounds: Mapping[int, Bounds], what: str = UNTIL) -> dict[int, int]:
    """Where each partition of the source ends at a version; 0 where it says nothing.

    Raises `InvalidInput` for what the log does not hold, `OtherIncarnation` for a topic that was made anew.
    """
    theirs = version.incarnations.get(DOCUMENTS, source.incarnation)
    if theirs != source.incarnation:
        raise OtherIncarnation(
            f"{what}: the token counts offsets of {DOCUMENTS} in incarnation {theirs[:40]}, the topic is now "
            f"{source.incarnation}: it was made anew, and what the token speaks of is gone"
        )
    named = version.offsets.get(DOCUMENTS, {})
    for partition in named:
        if partition not in bounds:
            raise InvalidInput(what, f"{DOCUMENTS} has no partition {partition}: it has {len(bounds)}")
    return {partition: _within(partition, named.get(partition, 0), found, what) for partition, found in bounds.items()}


def settled(later: Mapping[int, int], bounds: Mapping[int, Bounds], what: str = UNTIL) -> dict[int, int]:
    """Where each partition ends at a time, of where the first later records are. Raises `InvalidInput`.

    What is behind the last stable offset may still be taken back.
    """
    for partition, offset in later.items():
        if offset > bounds[partition].end:
            raise InvalidInput(
                what,
                f"{DOCUMENTS}/{partition} is not settled up to then: a transaction has been open since offset "
                f"{bounds[partition].end}; try again once it has ended",
            )
    return dict(later)


def _within(partition: int, offset: int, bounds: Bounds, what: str) -> int:
    place = f"{DOCUMENTS}/{partition}"
    if offset > bounds.end:
        raise InvalidInput(what, f"{place} ends at offset {bounds.end}, the token asks for {offset}")
    if 0 < offset < bounds.begin:
        raise InvalidInput(
            what, f"{place} begins at offset {bounds.begin}, the token ends at {offset}: what it saw is gone"
        )
    return offset


def version_of(positions: Mapping[int, int], incarnation: str) -> Version:
    """The version of these positions in the source."""
    return Version({DOCUMENTS: dict(positions)}, {DOCUMENTS: incarnation})

"""Versions: sets of positions in the source topics, and the tokens that carry them.

A token is base64url without padding of `{"v":1,"o":{topic:{partition:next}},"i":{topic:incarnation}}`.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas import topics
from schemas.errors import MalformedToken, OtherIncarnation

TOKEN_LIMIT = 64 * 1024
"""Characters. Enough for tens of thousands of partitions; a guard, not a promise."""

Token = Annotated[
    str,
    Meta(description="A version token.", extra_json_schema={"pattern": "^[A-Za-z0-9_-]+$", "maxLength": TOKEN_LIMIT}),
]

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*")
_PARTITION = re.compile(r"0|[1-9][0-9]{0,8}")
_LAST_OFFSET = 2**63 - 1


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    v: int
    o: dict[str, dict[str, int]]
    i: dict[str, str] = {}


class Version(msgspec.Struct, frozen=True):
    """Positions: `offsets[topic][partition]` is the next offset that has not been seen."""

    offsets: dict[str, dict[int, int]] = {}
    incarnations: dict[str, str] = {}

    def token(self) -> str:
        """This version as a token, partitions in order, so that equal versions have equal tokens."""
        body: dict[str, object] = {
            "v": 1,
            "o": {
                topic: {str(partition): self.offsets[topic][partition] for partition in sorted(self.offsets[topic])}
                for topic in sorted(self.offsets)
            },
        }
        if self.incarnations:
            body["i"] = dict(sorted(self.incarnations.items()))
        return base64.urlsafe_b64encode(msgspec.json.encode(body)).rstrip(b"=").decode("ascii")

    def next(self, topic: str, partition: int) -> int:
        """The next offset of a partition, 0 where this version says nothing of it."""
        return self.offsets.get(topic, {}).get(partition, 0)

    def of(self, topic: str) -> "Version":
        """This version narrowed to one topic."""
        return Version(
            {topic: self.offsets[topic]} if topic in self.offsets else {},
            {topic: self.incarnations[topic]} if topic in self.incarnations else {},
        )


def parse(token: str) -> Version:
    """Read a token.

    Raises `MalformedToken` when it is not one, or names a topic that Nenrin has never had.
    """
    body = _decode(token)
    for topic in (*body.o, *body.i):
        if topic not in topics.SOURCES:
            raise MalformedToken(f"unknown topic {topic[:80]!r}")
    offsets = {topic: dict(_positions(topic, positions)) for topic, positions in body.o.items()}
    return Version(offsets, body.i)


def _decode(token: str) -> _Body:
    if len(token) > TOKEN_LIMIT:
        raise MalformedToken(f"a version token has at most {TOKEN_LIMIT} characters, this one {len(token)}")
    if not token or not _ALPHABET.fullmatch(token):
        raise MalformedToken("not a version token: base64url without padding was expected")
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        body = msgspec.json.decode(raw, type=_Body)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedToken("not a version token: use one that an answer returned, unchanged") from error
    if body.v != 1:
        raise MalformedToken(f"version tokens of kind {body.v} are not known here")
    return body


def _positions(topic: str, positions: Mapping[str, int]) -> Iterable[tuple[int, int]]:
    for partition, offset in positions.items():
        if not _PARTITION.fullmatch(partition):
            raise MalformedToken(f"{topic} has no partition {partition[:20]!r}")
        if not 0 <= offset <= _LAST_OFFSET:
            raise MalformedToken(f"offset {offset} of {topic}/{partition} is not a log offset")
        yield int(partition), offset


def merge(*versions: Version) -> Version:
    """The smallest version that covers all of `versions`: the maximum of each partition.

    Raises `OtherIncarnation` when two of them count offsets of different incarnations of one topic.
    """
    offsets: dict[str, dict[int, int]] = {}
    incarnations: dict[str, str] = {}
    for version in versions:
        for topic, incarnation in version.incarnations.items():
            if incarnations.setdefault(topic, incarnation) != incarnation:
                raise OtherIncarnation(f"these versions belong to different incarnations of {topic}")
        for topic, positions in version.offsets.items():
            merged = offsets.setdefault(topic, {})
            for partition, offset in positions.items():
                merged[partition] = max(merged.get(partition, 0), offset)
    return Version(offsets, incarnations)


def shortfall(wanted: Version, seen: Version) -> dict[str, dict[int, int]]:
    """How many offsets of each partition `seen` lacks of `wanted`; empty when it covers it.

    Topics that `seen` does not count are left out: a projection answers only for what it folds.
    """
    missing: dict[str, dict[int, int]] = {}
    for topic, positions in wanted.offsets.items():
        if topic not in seen.offsets:
            continue
        for partition, offset in positions.items():
            if (short := offset - seen.next(topic, partition)) > 0:
                missing.setdefault(topic, {})[partition] = short
    return missing


def check(wanted: Version, seen: Version) -> None:
    """Refuse a version that a projection at `seen` can never reach.

    Raises `MalformedToken` for a partition that does not exist, `OtherIncarnation` for a topic made anew.
    """
    for topic, here in seen.offsets.items():
        theirs = wanted.incarnations.get(topic)
        ours = seen.incarnations.get(topic)
        if theirs is not None and ours is not None and theirs != ours:
            raise OtherIncarnation(
                f"the token counts offsets of {topic} in incarnation {theirs[:40]}, this answer those of "
                f"{ours}: the topic was recreated; forget the older of the two, and read again"
            )
        for partition in wanted.offsets.get(topic, {}):
            if partition not in here:
                raise MalformedToken(f"{topic} has no partition {partition}: it has {len(here)}")

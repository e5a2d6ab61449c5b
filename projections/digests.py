"""Digests: what a generation holds, as a sum of 64-bit row hashes, so that two can be compared without reading rows.

A sum can be kept up to date in the transaction that changes the rows, in any order, and does not depend on how the
log was cut into batches. Content and vectors are summed apart: another encoder changes the one and not the other.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from projections.port import Folded

MODULUS = 2**64


class Tally(msgspec.Struct, frozen=True):
    """Counts and sums of hashes, modulo 2^64, of a set of documents."""

    documents: int = 0
    passages: int = 0
    content: int = 0
    vectors: int = 0

    def plus(self, other: "Tally", sign: int = 1) -> "Tally":
        """The tally of both sets; with `sign` -1, of this one without the other."""
        return Tally(
            self.documents + sign * other.documents,
            self.passages + sign * other.passages,
            (self.content + sign * other.content) % MODULUS,
            (self.vectors + sign * other.vectors) % MODULUS,
        )


def hash_of(*values: Any) -> int:
    """The 64-bit hash of a row: BLAKE2b over its values as a MessagePack array (RFC 7693, 8-byte digest)."""
    return int.from_bytes(blake2b(msgspec.msgpack.encode(values), digest_size=8).digest(), "big")


def signed(value: int) -> int:
    """A 64-bit hash as Postgres' bigint keeps it."""
    return value - MODULUS if value >= MODULUS // 2 else value


def changes(folded: Iterable[Folded], replaced: Iterable[tuple[str, Tally]]) -> dict[str, Tally]:
    """How each collection's tally moves when `folded` is written over what was there before."""
    moved: dict[str, Tally] = {}
    for collection, tally in replaced:
        moved[collection] = moved.get(collection, Tally()).plus(tally, -1)
    for item in folded:
        tally = Tally(item.documents, item.passages, item.content, item.vectors)
        moved[item.collection] = moved.get(item.collection, Tally()).plus(tally)
    return {collection: tally for collection, tally in moved.items() if tally != Tally()}

"""Which partitions many keys belong to: `partitions.partition_of` for a whole fetch, at a tenth of the time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.partitions import SEED, M, partition_of

LONG = 128
"""Bytes. Keys are laid side by side, as wide as the longest of them; the few beyond this are taken one by one."""


def homes(keys: Sequence[bytes | None], partitions: int) -> list[int]:
    """The partition of each key in a topic of `partitions` partitions; no key counts as an empty one."""
    some = [key or b"" for key in keys]
    hashed = _murmur2([key if len(key) <= LONG else b"" for key in some])
    found: list[int] = ((hashed & 0x7FFFFFFF) % partitions).tolist()
    for at, key in enumerate(some):
        if len(key) > LONG:
            found[at] = partition_of(key, partitions)
    return found


def _murmur2(keys: Sequence[bytes]) -> NDArray[np.uint32]:
    """As `partitions.murmur2` does it, a word of all of the keys after the other."""
    lengths = np.fromiter(map(len, keys), np.uint32, len(keys))
    words, width = lengths >> np.uint32(2), max(map(len, keys), default=0) // 4 + 1
    laid = np.frombuffer(b"".join(key.ljust(4 * width, b"\0") for key in keys), "<u4").reshape(len(keys), width)
    h = np.uint32(SEED) ^ lengths
    for at in range(width):
        k = laid[:, at] * np.uint32(M)
        mixed = (h * np.uint32(M)) ^ ((k ^ (k >> np.uint32(24))) * np.uint32(M))
        h = np.where(at < words, mixed, h)
    # what is left of a key is less than a word, and zeros behind it
    tail = laid[np.arange(len(keys)), words]
    h = np.where(lengths & np.uint32(3), (h ^ tail) * np.uint32(M), h)
    h ^= h >> np.uint32(13)
    h *= np.uint32(M)
    return h ^ (h >> np.uint32(15))

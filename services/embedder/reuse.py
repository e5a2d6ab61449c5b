"""The vectors of passages: those that are known from before, and the others by the model."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from encoders.cache import VectorCache
from encoders.chunking import Piece


class PassagesToVectors(Protocol):
    """What this asks of an encoder."""

    def encode(self, pieces: Sequence[Piece]) -> NDArray[np.float16]:
        """The vectors of passages, in their order."""


class Vectors(NamedTuple):
    """Vectors as they travel, in the order of their passages, and how many passages the model was given."""

    values: list[bytes]
    encoded: int


def vectors_of(pieces: Sequence[Piece], encoder: PassagesToVectors, cache: VectorCache | None) -> Vectors:
    """Encode what isn't known. Runs in a thread.

    A vector is a function of what the model sees, so passages that read alike share one, in this call as over years.
    """
    if cache is None:
        return Vectors(_encoded(encoder, pieces), len(pieces))
    keys = [cache.key(piece.tokens) for piece in pieces]
    vectors = cache.find(keys)
    missing = {key: piece for key, piece in zip(keys, pieces, strict=True) if key not in vectors}
    if missing:
        new = dict(zip(missing, _encoded(encoder, list(missing.values())), strict=True))
        cache.add(new)
        vectors |= new
    return Vectors([vectors[key] for key in keys], len(missing))


def _encoded(encoder: PassagesToVectors, pieces: Sequence[Piece]) -> list[bytes]:
    return [vector.tobytes() for vector in encoder.encode(pieces)]

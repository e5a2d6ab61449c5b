"""Passages to batches: whose turn it is, and which go through the model together. Pure."""

from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

from encoders.chunking import Piece

K = TypeVar("K", bound=Hashable)


def batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Group passages, given by their lengths, so that no batch is more than `budget` tokens once padded.

    Returns indices, each once, the shortest passages first: neighbours in length leave the least padding.
    A passage longer than the budget is a batch of its own.
    """
    grouped: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if grouped and (len(grouped[-1]) + 1) * lengths[index] <= budget:
            grouped[-1].append(index)
        else:
            grouped.append([index])
    return grouped


class Backlog(Generic[K]):
    """The passages that wait for the model. Documents take turns, so a huge one doesn't hold up the others.

    A turn is up to `turn` passages: enough of them, and an ordinary document is done in its first.
    """

    def __init__(self, turn: int = 1) -> None:
        self._turn = turn
        self._turns: deque[tuple[K, deque[Piece]]] = deque()

    def __len__(self) -> int:
        return sum(len(pieces) for _, pieces in self._turns)

    def add(self, key: K, pieces: Iterable[Piece]) -> None:
        """Let a document's passages wait; it takes its first turn after all that wait already."""
        if waiting := deque(pieces):
            self._turns.append((key, waiting))

    def take(self, tokens: int) -> list[tuple[K, Piece]]:
        """Take about so many tokens' worth of passages, a turn at a time; at least one while any waits."""
        taken: list[tuple[K, Piece]] = []
        while self._turns and tokens > 0:
            key, pieces = self._turns.popleft()
            for _ in range(min(self._turn, len(pieces))):
                piece = pieces.popleft()
                taken.append((key, piece))
                tokens -= max(1, len(piece.tokens))
            if pieces:
                self._turns.append((key, pieces))
        return taken

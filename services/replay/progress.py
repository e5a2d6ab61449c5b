"""What a replay tells of itself while it works."""

from enum import StrEnum
from typing import Protocol


class Phase(StrEnum):
    """What a replay is doing, in this order. `done` and `total` of a phase are counted in the unit in brackets."""

    COVERING = "waiting for the embedder"  # source offsets
    LOADING = "loading"  # records of the log
    LOGGING = "making it durable"
    INDEXING = "indexing"  # blocks and tuples, as Postgres counts them
    GATES = "gates"
    COMPARING = "comparing"
    FOLLOWING = "following"  # source offsets
    PROMOTING = "promoting"
    READING = "reading the log"  # records of the log; of who only reads


class Progress(Protocol):
    """Whom a replay tells."""

    def say(self, line: str) -> None:
        """Something worth a line of its own, whatever is shown beside it."""
        ...

    def show(self, phase: Phase, done: int = 0, total: int | None = None) -> None:
        """How far a phase is; `total` None where nobody knows. The first call of a phase begins it."""
        ...


class Silent:
    """Tells nobody."""

    def say(self, line: str) -> None:
        """Keep it."""

    def show(self, phase: Phase, done: int = 0, total: int | None = None) -> None:
        """Keep it."""

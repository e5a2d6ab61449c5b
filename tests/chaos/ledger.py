"""What became of each write, by its writer's word; and whether the log agrees."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from tests.oracle import Oracle, Record, Version

MANY = 10


class Outcome(StrEnum):
    """What the writer was told."""

    ACKNOWLEDGED = "acknowledged"
    NOT_WRITTEN = "not written"
    NOT_REACHED = "not reached"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Write:
    """One event that was handed over. `below` is the version that covers it, where it was told."""

    trace: str
    kind: str
    key: bytes | None
    outcome: Outcome
    below: Version | None = None
    at: float = 0.0  # seconds since the epoch, when its outcome was known
    group: str = ""  # of the writes that are in the log together or not at all
    word: tuple[str, str] | None = None  # the collection, and the word that only its text has
    once: bool = True  # what its writer promises; librdkafka alone may double what it wrote before another timed out


@dataclass
class Ledger:
    """All writes of a run. Each bears a number in its `traceparent`, by which it is found in the log again."""

    writes: list[Write] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 10**12)))

    def number(self) -> int:
        """A number that no other write has."""
        return next(self._numbers)

    def take(self, write: Write) -> None:
        """Note what became of a write."""
        self.writes.append(write)

    def recent(self) -> list[tuple[str, str]]:
        """Words that were written lately."""
        return [write.word for write in self.writes[-40:] if write.word and write.outcome is Outcome.ACKNOWLEDGED]

    def counted(self) -> dict[str, int]:
        """How many writes of each kind there were with each outcome."""
        return dict(Counter(f"{write.kind} {write.outcome}" for write in self.writes))

    def check(self, oracle: Oracle) -> None:
        """Acknowledged writes are in the log once, below their version; refused ones never; others at most once.

        Those whose writer promises no more (`once` is false) may be there several times.
        """
        found: defaultdict[str, list[tuple[int, Record]]] = defaultdict(list)
        for at, log in oracle.log.items():
            for record in log:
                found[record.trace].append((at, record))
        groups: defaultdict[str, set[int]] = defaultdict(set)
        for write in self.writes:
            places = found[write.trace]
            _check(write, places)
            if write.group:
                groups[write.group].add(len(places))
        torn = {group: counts for group, counts in groups.items() if len(counts) > 1}
        assert not torn, f"transactions that are in the log in part: {torn}"


def _check(write: Write, places: list[tuple[int, Record]]) -> None:
    least = 1 if write.outcome is Outcome.ACKNOWLEDGED else 0
    most = 1 if write.outcome in (Outcome.ACKNOWLEDGED, Outcome.UNKNOWN) else 0
    assert least <= len(places) <= (most if write.once else MANY), f"in the log {len(places)} times: {write}"
    assert all((record.key or b"") == (write.key or b"") for _, record in places), (write, places)
    covered = [record for at, record in places if write.below and record.offset < write.below[at]]
    assert covered or not (write.below and places), (write, places)


def trace_id(number: int) -> str:
    """A trace's id, as the W3C's Trace Context has it."""
    return f"{number:032x}"


def traceparent(number: int) -> str:
    """What a write carries on its way."""
    return f"00-{trace_id(number)}-{number:016x}-01"


def word_of(number: int) -> str:
    """The word that only this write's text has."""
    return f"unique{number}x"

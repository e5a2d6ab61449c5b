"""What the doctor says: one finding for one thing that was looked at."""

from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(msgspec.Struct, frozen=True):
    """`what` was looked at, what was seen there (`evidence`), and what to do about it, where there is something."""

    level: Level
    what: str
    evidence: str
    advice: str | None = None


def together(found: Sequence[Finding]) -> Iterator[Finding]:
    """The first finding of each thing and advice: a dozen partitions mostly have one and the same trouble."""
    alike: dict[tuple[str, str | None], list[Finding]] = {}
    for each in found:
        alike.setdefault((each.what, each.advice), []).append(each)
    for first, *others in alike.values():
        more = f" (and {len(others)} more like this)" if others else ""
        yield msgspec.structs.replace(first, evidence=first.evidence + more)


def ok(what: str, evidence: str) -> Finding:
    """As it should be."""
    return Finding(Level.OK, what, evidence)


def warning(what: str, evidence: str, advice: str | None = None) -> Finding:
    """Nothing is wrong yet, or it mends itself."""
    return Finding(Level.WARNING, what, evidence, advice)


def problem(what: str, evidence: str, advice: str) -> Finding:
    """Somebody has to do something."""
    return Finding(Level.PROBLEM, what, evidence, advice)

"""What a replay reports: what was built, how long each phase took, and what the gates found."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from schemas.versions import Token

SHOWN = 20
"""Documents that a gate names, at most."""


class Outcome(StrEnum):
    """What became of a gate. Only `FAILED` and `UNKNOWN` stand in the way of a promotion."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not_applicable"


class Differing(msgspec.Struct, frozen=True):
    """A document that two generations don't have alike. `how`: "missing", "extra", or the columns that differ."""

    collection: str
    document_id: str
    how: str


class Gate(msgspec.Struct, frozen=True):
    """One question that a candidate has to answer well; `documents` are the first that say otherwise."""

    name: str
    outcome: Outcome
    detail: str
    documents: Sequence[Differing] = ()

    @property
    def holds(self) -> bool:
        """Whether it stands in nobody's way."""
        return self.outcome in (Outcome.PASSED, Outcome.NOT_APPLICABLE)


class Gates(msgspec.Struct, frozen=True):
    """What the gates found of `candidate`, held against the generation that was live: both at `version`.

    None where the two could not be brought to one version.
    """

    projection: str
    candidate: int
    live: int
    version: Token | None
    gates: Sequence[Gate]

    @property
    def passed(self) -> bool:
        """Whether the candidate may become live."""
        return all(gate.holds for gate in self.gates)

    def why_not(self) -> str:
        """The gates that stand in the way, and why, in one line; "" when they passed."""
        return why_not(self.gates)


class Report(msgspec.Struct, frozen=True):
    """A generation that was built, or that was to become live. `seconds` by phase, in the order of the phases."""

    generation: int
    projection: str
    encoder: str | None = None
    version: Token | None = None
    events: int | None = None
    rows: int | None = None
    seconds: Mapping[str, float] = {}
    gates: Sequence[Gate] = ()
    promoted: bool = False
    forced_because: str | None = None

    def why_not(self) -> str:
        """The gates that stand in the way, and why, in one line; "" when they passed."""
        return why_not(self.gates)


def why_not(gates: Sequence[Gate]) -> str:
    """Those of them that stand in the way, and why, with the first documents that they name."""
    return "; ".join(f"{gate.name} {gate.outcome}: {_said(gate)}" for gate in gates if not gate.holds)


def _said(gate: Gate) -> str:
    first = [f"{each.collection}/{each.document_id} ({each.how})" for each in gate.documents[:3]]
    more = len(gate.documents) - len(first)
    return gate.detail + (f": {', '.join(first)}" if first else "") + (f" and {more} more" if more else "")

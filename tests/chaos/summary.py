"""What a run did, for whoever has to believe it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.trial import Trial


def summary(trial: Trial) -> str:
    """A line for each thing that was counted."""
    faults = Counter(one.fault.kind.value for one in trial.faults.inflicted if one.happened)
    asked = trial.judge.judged
    lines = {
        "run again with": f"SEED={trial.seed} MINUTES={trial.seconds / 60:g}",
        "faults": f"{sum(faults.values())} of {len(trial.faults.planned)} planned: {told(faults)}",
        "answers judged": f"{sum(asked.values())}: {told(asked)}",
        "lags compared": told(trial.judge.lags),
        "versions seen": told({name: len(seen) for name, seen in trial.judge.versions.items()}),
        "questions without an answer": trial.readers.unanswered,
        "writes": told(trial.ledger.counted()),
        "log": f"{sum(map(len, trial.oracle.log.values()))} committed events",
        "compared at the end": told(trial.comparison.compared) or "nothing: it did not come so far",
        "seconds": told(trial.phases),
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items())


def told(counts: dict[str, int] | Counter[str] | dict[str, float]) -> str:
    """Counts in one line, by name."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))

"""The law under chaos: whatever dies, every answer is the fold of the log at the version that it names."""

import os
import secrets
from pathlib import Path

from tests.chaos.trial import run

SEED = "NENRIN_TEST_SEED"
SECONDS = 60.0


async def test_the_law_holds_whatever_dies(tmp_path: Path) -> None:
    """Random writes from every kind of producer, faults of every kind, and readers of which every answer is checked."""
    seed = int(os.environ.get(SEED) or secrets.randbelow(10**9))
    print(f"\n{SEED}={seed}")
    trial = await run(tmp_path / "chaos", seed, SECONDS)
    assert sum(fault.happened for fault in trial.faults.inflicted) > 3
    assert sum(trial.judge.judged.values()) > 100
    assert trial.judge.lags["at least what it was before"] > 50
    assert trial.judge.lags["at most what it was after"] > 50

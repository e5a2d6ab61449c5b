"""Fuzzing for as long as is asked: the tests of this folder, round after round, each with another seed.

`python -m tests.fuzz MINUTES [SEED]`; it ends with the first round that fails, whose seed is the last one printed.
"""

import os
import secrets
import subprocess
import sys
import time
from itertools import count
from pathlib import Path


def main(minutes: float, seed: int) -> int:
    """Run rounds until the time is over."""
    end = time.monotonic() + 60 * minutes
    for number in count(seed):
        print(f"round {number - seed + 1}, seed {number}", flush=True)
        if failed := _round(number):
            return failed
        if time.monotonic() > end:
            return 0
    raise AssertionError("numbers do not end")


def _round(seed: int) -> int:
    folder = str(Path(__file__).parent)
    longer = {"NENRIN_TEST_SEED": str(seed), "NENRIN_FUZZ_SECONDS": "60", "NENRIN_FUZZ_EXAMPLES": "1000"}
    command = [sys.executable, "-m", "pytest", "-q", folder, f"--hypothesis-seed={seed}", "-p", "no:cacheprovider"]
    return subprocess.run(command, env=os.environ | longer, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else secrets.randbits(32)))

"""Fuzzing for as long as is asked: the tests of this folder, round after round, each with another seed.

It ends with the first round that fails, whose seed is the last one printed.
"""

import argparse
import os
import secrets
import subprocess
import sys
import time
from itertools import count
from pathlib import Path


def main() -> int:
    """Run rounds until the time is over; the exit status is that of the last one."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="begin no round after them (default: 10)")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbits(32), help="of the first round; the next has the next"
    )
    asked = parser.parse_args()
    return _rounds(asked.seed, time.monotonic() + 60 * asked.minutes)


def _rounds(first: int, end: float) -> int:
    for seed in count(first):
        print(f"round {seed - first + 1}, seed {seed}", flush=True)
        if (failed := _round(seed)) or time.monotonic() > end:
            return failed
    raise AssertionError("numbers do not end")


def _round(seed: int) -> int:
    folder = str(Path(__file__).parent)
    longer = {"NENRIN_TEST_SEED": str(seed), "NENRIN_FUZZ_SECONDS": "60", "NENRIN_FUZZ_EXAMPLES": "1000"}
    command = [sys.executable, "-m", "pytest", "-q", folder, f"--hypothesis-seed={seed}", "-p", "no:cacheprovider"]
    return subprocess.run(command, env=os.environ | longer, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

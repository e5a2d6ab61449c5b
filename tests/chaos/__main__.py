"""`python -m tests.chaos --seed N --minutes M`: kill every part at random, and judge every answer."""

import argparse
import asyncio
import faulthandler
import secrets
import sys
import tempfile
from pathlib import Path

from tests.chaos.trial import run

LATEST = 1800.0
"""Seconds beyond the time of the faults after which something hangs that has no deadline of its own."""


def main() -> int:
    """Run once; the exit status says whether all was as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9), help="what all chance is drawn from")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long faults go on")
    parser.add_argument("--state", type=Path, help="a folder for the stack, kept afterwards")
    asked = parser.parse_args()
    faulthandler.dump_traceback_later(asked.minutes * 60 + LATEST, exit=True)  # shows where it hangs, and ends it
    with tempfile.TemporaryDirectory(prefix="nenrin-chaos-") as folder:
        state = asked.state or Path(folder)
        Path(folder).chmod(0o755)  # Postgres runs as another user under root
        asyncio.run(run(state, asked.seed, asked.minutes * 60))
    print("chaos: everything was as it must be")
    return 0


if __name__ == "__main__":
    sys.exit(main())

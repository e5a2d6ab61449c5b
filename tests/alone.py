"""Tests that measure milliseconds run while the other workers of pytest-xdist stand still.

A lock file in two halves: a turnstile that everybody passes, so that nobody overtakes the one who waits to be alone,
and the room itself, which is entered together or alone.
"""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

MARKER = "alone: what it asserts is about milliseconds, so no other test runs beside it"


@contextmanager
def in_turn(item: pytest.Item) -> Iterator[None]:
    """Let a test have the machine with others, or alone if it is marked so; without other workers at once."""
    run = getattr(item.config, "workerinput", {}).get("testrunuid")
    if run is None:
        yield
        return
    folder = Path(tempfile.gettempdir())
    how = fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH
    with ExitStack() as room:
        with _held(folder / f"nenrin-{run}.turnstile", fcntl.LOCK_EX):
            room.enter_context(_held(folder / f"nenrin-{run}.room", how))
        yield


@contextmanager
def _held(file: Path, how: int) -> Iterator[None]:
    with file.open("a") as lock:
        fcntl.flock(lock, how)  # closing the file lets go of it
        yield

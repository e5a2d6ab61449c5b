"""A process that cannot go on ends at once."""

import asyncio
import subprocess
import sys

import pytest

from eventlog.ending import FAILED, exit_on_error

FAILING = """
import atexit
from eventlog.ending import exit_on_error
atexit.register(print, "cleaned up")
with exit_on_error("testing"):
    raise {error}
"""


def end_with(error: str) -> subprocess.CompletedProcess[str]:
    """What becomes of a process in which this is raised."""
    return subprocess.run(
        [sys.executable, "-c", FAILING.format(error=error)], capture_output=True, text=True, check=False
    )


def test_an_error_ends_the_process_without_a_clean_up() -> None:
    """Nothing may be flushed or written after an error, so nothing registered to run at exit runs."""
    ended = end_with("ValueError('boom')")
    assert ended.returncode == FAILED
    assert "boom" in ended.stdout + ended.stderr
    assert "cleaned up" not in ended.stdout


def test_an_error_of_ours_is_one_line_that_says_what_to_do() -> None:
    """A traceback helps nobody who has a topic to restore."""
    ended = end_with("__import__('schemas.errors').errors.PositionLost('restore the topic')")
    assert "restore the topic" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("passing", [asyncio.CancelledError, GeneratorExit])
def test_a_cancellation_passes(passing: type[BaseException]) -> None:
    """Being asked to stop is no error."""
    with pytest.raises(passing), exit_on_error("testing"):
        raise passing


def test_what_is_let_through_passes() -> None:
    """Some errors belong to whoever called."""
    with pytest.raises(KeyError), exit_on_error("testing", letting=(KeyError,)):
        raise KeyError("expected")

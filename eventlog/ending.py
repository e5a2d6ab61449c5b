"""How a process ends when it cannot go on: at once, so that nothing it half did is followed by more."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from aiokafka.errors import KafkaError

from schemas.errors import NenrinError

FAILED = 70
"""The exit status: an internal error (EX_SOFTWARE). The supervisor starts the process again."""

log = structlog.get_logger()


@contextmanager
def exit_on_error(doing: str, *, letting: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """End the process on any exception but a cancellation and those in `letting`.

    Faust acknowledges the batch of an agent that raised and goes on behind it; ending the process is what makes the
    position, not Faust, decide where to go on.
    """
    try:
        yield
    except BaseException as error:  # whatever it was, nobody outside here may carry on
        if isinstance(error, (asyncio.CancelledError, GeneratorExit, *letting)):
            raise
        end_process(doing, error)


def end_process(doing: str, error: BaseException) -> None:
    """Log why, and be gone, even where the log can't be written. No clean-up: it could write."""
    expected = isinstance(error, (NenrinError, KafkaError))
    try:
        log.error(
            "cannot go on",
            doing=doing,
            error=str(error),
            kind=type(error).__name__,
            exc_info=None if expected else error,
        )
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(FAILED)


def leave() -> None:
    """End the process now, and well: what is still at work in it can't be stopped, or would not end in time.

    It is as if it had been killed, which nothing that is written may mind. A thread in C++ would abort a usual exit.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(os.EX_OK)

"""How a command ends: one line on stderr that says what happened and what to do, and a status that means something."""

import sys
import traceback
from enum import IntEnum

import typer

from nenrin.cli.extras import advice
from schemas.errors import InvalidInput, NenrinError


class Status(IntEnum):
    """Exit statuses."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_STACK = 3
    BEHIND = 4
    REFUSED = 5
    INTERRUPTED = 130


MEANING = {
    Status.DONE: "done",
    Status.FAILED: "failed; from doctor: there are problems",
    Status.USAGE: "wrong usage",
    Status.NO_STACK: "no running stack there",
    Status.BEHIND: "the projection is behind what was asked for",
    Status.REFUSED: "the input was refused",
    Status.INTERRUPTED: "interrupted",
}


class NoStack(NenrinError):
    """There is no running stack where one was looked for."""


class Failed(NenrinError):
    """A command did what it could, and that was not all."""


def describe() -> str:
    """The statuses, for the help."""
    return "Exit status: " + ", ".join(f"{status.value} {meaning}" for status, meaning in MEANING.items()) + "."


def explain(error: Exception, debug: bool) -> Status:
    """Say what went wrong; the exit status is returned."""
    if debug:
        traceback.print_exception(error)
    if said := line(error):
        print(f"nenrin: {' '.join(said.split())}", file=sys.stderr)
    return status_of(error)


def status_of(error: Exception) -> Status:
    """The exit status of an error."""
    from nenrin.client import errors  # noqa: PLC0415  (it imports httpx, which --help must not wait for)

    match error:
        case typer.TyperException():
            return Status.USAGE
        case NoStack() | errors.NoStack() | errors.Unreachable():
            return Status.NO_STACK
        case errors.Behind():
            return Status.BEHIND
        case InvalidInput() | errors.Refused():
            return Status.REFUSED
        case _:
            return Status.FAILED


def line(error: Exception) -> str:
    """What happened, and what to do next."""
    match error:
        case typer.TyperException():
            context = getattr(error, "ctx", None)
            if not error.format_message():
                return ""  # nothing was asked for, and the help has been shown
            return f"{error.format_message()} Try: {context.command_path if context else 'nenrin'} --help"
        case ModuleNotFoundError():
            return advice(error)
        case NenrinError():
            return str(error)
        case _:
            return f"unexpected {type(error).__name__}: {error} (nenrin --debug COMMAND … shows where)"

"""Finding a running stack: by its state folder, or by addresses in the environment."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nenrin.abandoned import explanation, is_abandoned
from nenrin.cli.endings import NoStack

if TYPE_CHECKING:
    from nenrin.client import Session

STATE = ".nenrin"
EMBEDDED_PARTITIONS = 4
VARIABLES = {"command": "NENRIN_COMMAND", "query": "NENRIN_QUERY"}


class Running(msgspec.Struct, frozen=True):
    """Where a stack answers. One that is elsewhere has no folder here, and its processes are not ours to see."""

    command: str = ""
    query: str = ""
    kafka: str | None = None
    postgres: str | None = None
    processes: dict[str, int] = {}
    folder: str | None = None

    @property
    def place(self) -> str:
        """Where it was found, for messages."""
        return self.folder or "the environment"


def state_folder(state: Path | None) -> Path:
    """The state folder that was named on the command line, or by the environment."""
    return state or Path(os.environ.get("NENRIN_STATE") or STATE)


def find_stack(state: Path | None, service: str = "query") -> Running:
    """The stack whose `service`, command or query, a command talks to. Raises `NoStack`.

    A folder on the command line comes first, then NENRIN_COMMAND and NENRIN_QUERY, then the folder by default.
    """
    named = {name: os.environ.get(variable, "") for name, variable in VARIABLES.items()}
    if state is None and any(named.values()):
        if not named[service]:
            given = ", ".join(variable for name, variable in VARIABLES.items() if named[name])
            raise NoStack(f"{given} is set, but {VARIABLES[service]} is not: this needs the {service} service's URL")
        return Running(named["command"], named["query"])
    stack = in_folder(state_folder(state))
    if not (stack.command and stack.query):
        raise NoStack(f"the stack in {stack.place} runs without Nenrin's services: start it with `nenrin up`")
    return stack


def session_with(stack: Running) -> "Session":
    """A session with a stack, that tries everything once: who sits before a terminal sees what is wrong."""
    from nenrin.client import Session  # noqa: PLC0415  (`nenrin up` has no use for httpx)

    return Session(stack.command, stack.query, retry_for=0)


def in_folder(folder: Path) -> Running:
    """The stack whose state is in `folder`. Raises `NoStack`."""
    endpoints = folder / "endpoints.json"
    try:
        found = msgspec.json.decode(endpoints.read_bytes(), type=Running)
    except FileNotFoundError:
        start = f"nenrin up{'' if folder == Path(STATE) else f' --state {folder}'}"
        raise NoStack(
            f"no running stack in {folder}: start one with `{start}`, or name its folder with --state"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
        raise NoStack(f"{endpoints} cannot be read ({error}): is {folder} the state folder of a stack?") from error
    if is_abandoned(folder):
        raise NoStack(explanation(folder))
    return msgspec.structs.replace(found, folder=str(folder))

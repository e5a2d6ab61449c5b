"""Finding a running stack: by its state folder, or by addresses in the environment."""

import os
from pathlib import Path

import msgspec

from nenrin.cli.endings import NoStack

STATE = ".nenrin"
EMBEDDED_PARTITIONS = 4


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


def find(state: Path | None) -> Running:
    """The stack that a command talks to. Raises `NoStack`.

    A folder on the command line comes first, then NENRIN_COMMAND and NENRIN_QUERY, then the folder by default.
    """
    command, query = os.environ.get("NENRIN_COMMAND"), os.environ.get("NENRIN_QUERY")
    if state is None and (command or query):
        if not (command and query):
            raise NoStack("NENRIN_COMMAND and NENRIN_QUERY go together: set both to the services' URLs, or neither")
        return Running(command, query)
    stack = in_folder(state_folder(state))
    if not (stack.command and stack.query):
        raise NoStack(f"the stack in {stack.place} runs without Nenrin's services: start it with `nenrin up`")
    return stack


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
    return msgspec.structs.replace(found, folder=str(folder))

"""Processes of a stack on this machine: whether they run, and the memory that they take."""

import os
from pathlib import Path

DATA = {"kafka": "kafka/data", "postgres": "postgres"}
"""Where the servers of a stack keep their data, in its folder."""


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # there, and someone else's: Postgres runs as another user when root starts it
    return True


def troubles(folder: str | None) -> dict[str, str]:
    """The servers of the stack in `folder` that a full disk keeps from working, each with what to do."""
    try:
        from services.disk import shortage  # noqa: PLC0415  (services come with the stack)
    except ModuleNotFoundError:
        return {}
    if folder is None:
        return {}
    return {name: why for name, data in DATA.items() if (why := shortage(Path(folder, data)))}


def memory(pid: int) -> str:
    """What a process and its children hold, in MiB; "" where that can't be told."""
    try:
        from services.stack.status import resident  # noqa: PLC0415  (psutil comes with the stack)
    except ModuleNotFoundError:
        return ""
    return resident(pid)

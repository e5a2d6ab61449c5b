"""Processes of a stack on this machine: whether they run, and the memory that they take."""

import os


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # there, and someone else's: Postgres runs as another user when root starts it
    return True


def memory(pid: int) -> str:
    """What a process and its children hold, in MiB; "" where that can't be told."""
    try:
        from services.stack.status import resident  # noqa: PLC0415  (psutil comes with the stack)
    except ModuleNotFoundError:
        return ""
    return resident(pid)

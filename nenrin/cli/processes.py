"""Processes of a stack on this machine: whether they run, what they say themselves, and the memory that they take."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

ANSWER_WITHIN = 1.0
"""Seconds for each of them to say how it is."""
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


def stopped(folder: str | None) -> list[str]:
    """A line for each part that has stopped or waits, with why; nothing of processes that don't answer."""
    try:
        urls = json.loads((Path(folder or "") / "metrics.json").read_text())
    except (OSError, ValueError):
        return []
    return [line for name, url in urls.items() for line in _lines(name, str(url))]


def _lines(name: str, url: str) -> Iterator[str]:
    try:
        with urlopen(url.replace("/metrics", "/readyz"), timeout=ANSWER_WITHIN) as answer:
            notes = json.load(answer)["notes"]
    except (OSError, ValueError, KeyError):  # dead or not ready: the table says so
        return
    yield from (f"{name}: {part} {why}" for part, why in notes.items() if why.startswith(("stopped: ", "waiting: ")))


def memory(pid: int) -> str:
    """What a process and its children hold, in MiB; "" where that can't be told."""
    try:
        from services.stack.status import resident  # noqa: PLC0415  (psutil comes with the stack)
    except ModuleNotFoundError:
        return ""
    return resident(pid)

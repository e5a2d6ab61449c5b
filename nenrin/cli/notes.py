"""What the processes of a stack on this machine say themselves: why one of them has stopped, or waits."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ANSWER_WITHIN = 1.0


def stopped(folder: str | None) -> list[str]:
    """A line for each part that has stopped or waits; nothing of processes that don't answer."""
    try:
        urls = json.loads((Path(folder or "") / "metrics.json").read_text())
    except FileNotFoundError:
        return []
    return [line for name, url in urls.items() for line in _lines(name, str(url))]


def _lines(name: str, url: str) -> Iterator[str]:
    try:
        with urlopen(url.replace("/metrics", "/readyz"), timeout=ANSWER_WITHIN) as answer:
            notes = json.load(answer)["notes"]
    except (URLError, OSError, ValueError, KeyError):  # dead or not ready: the table says so
        return
    yield from (f"{name}: {part} {why}" for part, why in notes.items() if why.startswith(("stopped: ", "waiting: ")))

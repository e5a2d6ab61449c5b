"""Findings about the processes of an embedded stack: whether they live, and what they say themselves."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import psutil

from schemas.mending import DOCTOR
from services.doctor.findings import Finding, ok, problem, warning
from services.doctor.installation import room

ANSWER_WITHIN = 2.0
STOPPED = "stopped: "
OTHERS = "see the other findings, and its log"


def stack(folder: Path) -> Iterator[Finding]:
    """Each process of the stack in `folder`, and the room that is left there."""
    usage = shutil.disk_usage(folder)
    yield room(usage.free, usage.total, str(folder))
    pids: Mapping[str, int] = _read(folder / "endpoints.json").get("processes", {})
    urls = _read(folder / "metrics.json")
    for name, pid in pids.items():
        if not psutil.pid_exists(pid):
            yield problem(f"process {name}", f"{pid} is dead", f"its last words are in {folder}/logs/{name}.log")
        elif name in urls:
            yield from _asked(name, pid, str(urls[name]).replace("/metrics", "/readyz"))
        else:
            yield ok(f"process {name}", f"runs as {pid}")


def _asked(name: str, pid: int, url: str) -> Iterator[Finding]:
    what = f"process {name}"
    try:
        said = _get(url)
    except (OSError, ValueError) as error:
        yield problem(what, f"runs as {pid}, but does not answer: {error}", "wait a moment, then look at its log")
        return
    missing = said.get("missing", {})
    stopped = {part: why for part, why in said.get("notes", {}).items() if why.startswith(STOPPED)}
    for part, why in missing.items():
        yield problem(what, f"{part}: {why}", OTHERS)
    for part, why in stopped.items():
        # not the doctor: who reads this has asked it already
        commands = [named for named in re.findall(r"`[^`]+`", why) if named != f"`{DOCTOR}`"]
        yield problem(what, f"{part} {why}", commands[0] if commands else OTHERS)
    if not missing and not stopped:
        waiting = [f"{part} {why}" for part, why in said.get("notes", {}).items() if why.startswith("waiting")]
        yield warning(what, "; ".join(waiting)) if waiting else ok(what, f"runs as {pid}, and is ready")


def _get(url: str) -> dict[str, dict[str, str]]:
    try:
        with urlopen(url, timeout=ANSWER_WITHIN) as answer:
            found: dict[str, dict[str, str]] = json.load(answer)
    except HTTPError as refusal:  # 503 says in its body what is missing
        found = json.load(refusal)
    except URLError as error:
        raise OSError(str(error.reason)) from error
    return found


def _read(file: Path) -> dict[str, dict[str, int]]:
    try:
        found: dict[str, dict[str, int]] = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    return found

"""`nenrin doctor`: what is wrong, and what to do about it."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from nenrin.cli.endings import Status
from nenrin.cli.running import state_folder
from nenrin.cli.services import settings_for
from nenrin.cli.showing import plain, table_of
from services.doctor import Finding, Level, examine

STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}


def doctor(state: Path | None, as_json: bool) -> Status:
    """Print what was found; problems give the status 1. Raises `NoStack` where there is nothing to look at."""
    settings = settings_for(state)
    folder = state_folder(state)
    here = (folder / "endpoints.json").exists() and (state is not None or "NENRIN_KAFKA" not in os.environ)
    found = examine(settings, folder if here else None)
    if as_json:
        print(json.dumps({"findings": [msgspec.to_builtins(each) for each in found]}, ensure_ascii=False))
    else:
        _show(found)
    return Status.FAILED if any(each.level is Level.PROBLEM for each in found) else Status.DONE


def _show(found: Sequence[Finding]) -> None:
    table = table_of("", "", "what", "evidence")
    for each in found:
        table.add_row(Text(each.level.value, STYLES[each.level]), plain(each.what), Text(plain(each.evidence)))
    console = Console(highlight=False)
    console.print(table)
    todo = _todo(found)
    console.print("", "To do:" if todo else "Nothing to do.", sep="\n")
    for advice, subjects in todo.items():
        console.print(f"  {plain(advice)}", markup=False, soft_wrap=True)
        console.print(f"    for: {plain(', '.join(subjects))}", style="dim", markup=False, soft_wrap=True)


def _todo(found: Sequence[Finding]) -> dict[str, list[str]]:
    """Each thing to do once, by its command where it names one, with what it is for."""
    alike: dict[str, list[Finding]] = {}
    for each in found:
        if each.advice:
            command = re.search(r"`[^`]+`", each.advice)
            alike.setdefault(command[0] if command else each.advice, []).append(each)
    return {
        max((each.advice or "" for each in those), key=len): list(dict.fromkeys(each.what for each in those))
        for those in alike.values()
    }

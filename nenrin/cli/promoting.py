"""`nenrin projections promote`, `rollback` and `retire`: which generation readers are sent to, and which one goes."""

import asyncio
import sys
from pathlib import Path

import msgspec
from rich.console import Console

from nenrin.cli.deciding import who
from nenrin.cli.endings import Failed, Status
from nenrin.cli.replaying import shown
from nenrin.cli.services import settings_for
from nenrin.cli.verdicts import table
from schemas.errors import InvalidInput
from services.replay.gates import Asked as AskedOfGates
from services.replay.promoting import Order, promote, rollback
from services.replay.retiring import retire


class Asked(msgspec.Struct, frozen=True):
    """What the command line says of a promotion."""

    name: str
    generation: int | None
    queries: Path | None
    min_overlap: float | None
    force: bool
    reason: str | None
    by: str | None
    state: Path | None
    as_json: bool


def run_promote(asked: Asked) -> Status:
    """Promote, and print the report. Raises `Failed` when a gate refused."""
    if asked.force != (asked.reason is not None):
        raise InvalidInput(
            "--reason", "goes with --force, which goes with it: the record keeps why gates were overruled"
        )
    gates = AskedOfGates(asked.queries, asked.min_overlap)
    order = Order(asked.name, who(asked.by), asked.generation, asked.reason, gates)
    with shown() as progress:
        report = asyncio.run(promote(settings_for(asked.state), order, progress))
    if asked.as_json:
        print(msgspec.json.encode(report).decode())
    else:
        Console(highlight=False).print(table(report))
    if not report.promoted:
        raise Failed(
            f"{report.projection} generation {report.generation} was not promoted: {report.why_not()}. Everything is "
            "as it was; --force --reason TEXT overrules"
        )
    return Status.DONE


def run_rollback(name: str, reason: str | None, by: str | None, state: Path | None, as_json: bool) -> Status:
    """Roll back, and say what is live now. Raises `NotMoved`."""
    moved = asyncio.run(rollback(settings_for(state), name, who(by), reason))
    if as_json:
        print(msgspec.json.encode(moved).decode())
    else:
        print(f"{name} generation {moved.live} is live; {moved.previous} is kept as the previous one, and follows on")
    if moved.behind:
        print(f"it lacks {moved.behind:,} events that the other one has seen: `nenrin status`", file=sys.stderr)
    return Status.DONE


def run_retire(name: str, generation: int, by: str | None, state: Path | None, as_json: bool) -> Status:
    """Drop a generation, and say so. Raises what is in the way."""
    retired = asyncio.run(retire(settings_for(state), name, generation, who(by)))
    if as_json:
        print(msgspec.json.encode(retired).decode())
    else:
        print(f"{name} generation {generation} is dropped")
    if retired.was_previous:
        print(f"{name} has no previous generation any more: there is nothing to roll back to", file=sys.stderr)
    return Status.DONE

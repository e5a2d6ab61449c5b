"""`nenrin status`: what runs, and how far behind the log each projection is."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nenrin.cli.processes import is_alive, memory, stopped, troubles
from nenrin.cli.running import Running, find_stack, session_with
from nenrin.cli.showing import STATES, plain, positions, table_of
from nenrin.client import calls
from nenrin.client.answers import Generation, Projections, ProjectionStatus
from nenrin.client.errors import Problem, Unreachable
from schemas import versions
from schemas.errors import NenrinError

Rates = dict[tuple[str, int], float]
"""Events per second, for each generation of a projection."""


class Look(msgspec.Struct, frozen=True):
    """What was seen at once. `at` is in seconds of a monotonic clock, `raw` the service's own words."""

    stack: Running
    alive: dict[str, bool]
    raw: bytes
    projections: Projections
    at: float
    stopped: tuple[str, ...] = ()


def status(state: Path | None, as_json: bool) -> None:
    """Print processes and projections. Raises `Unreachable` when the query service does not answer."""
    stack = find_stack(state)
    console = Console(highlight=False)
    try:
        seen = look(stack)
    except (Unreachable, Problem):
        if not as_json:
            console.print(_processes(stack, _alive(stack)), "")  # which may say why
        raise
    _print(seen, None, console, as_json)


def live(state: Path | None, every: float, as_json: bool) -> None:
    """Look again every so many seconds, in place on a terminal, until Ctrl-C."""
    console = Console(highlight=False)
    before = look(find_stack(state))
    try:
        if as_json or not console.is_terminal:
            _print(before, None, console, as_json)
            while True:
                time.sleep(every)
                seen = look(find_stack(state))
                _print(seen, before, console, as_json)
                before = seen
        with Live(shown(before, None), console=console, auto_refresh=False) as screen:
            while True:
                time.sleep(every)
                before = _refresh(screen, state, before)
    except KeyboardInterrupt:
        return


def _refresh(screen: Live, state: Path | None, before: Look) -> Look:
    """Show what there is now; what is away now may come back."""
    try:
        seen = look(find_stack(state))
    except NenrinError as error:
        screen.update(Group(shown(before, None), "", Text(str(error), "red")), refresh=True)
        return before
    screen.update(shown(seen, before), refresh=True)
    return seen


def look(stack: Running) -> Look:
    """What there is now. Raises the problems of `nenrin.client.errors`."""
    call = calls.projections()
    with session_with(stack) as session:
        raw = bytes(session.send(call.raw()))
    seen = call.read(200, raw, None)
    return Look(stack, _alive(stack), raw, seen, time.monotonic(), tuple(stopped(stack.folder)))


def _alive(stack: Running) -> dict[str, bool]:
    return {name: is_alive(pid) for name, pid in stack.processes.items()}


def _print(seen: Look, before: Look | None, console: Console, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(_report(seen)).decode() + "\n")
        sys.stdout.flush()
    else:
        console.print(shown(seen, before))


def _report(seen: Look) -> dict[str, object]:
    stack = seen.stack
    return {
        "state": stack.folder,
        "command": stack.command,
        "query": stack.query,
        "kafka": stack.kafka,
        "processes": {name: {"pid": pid, "alive": seen.alive[name]} for name, pid in stack.processes.items()},
        "troubles": troubles(stack.folder),
        "projections": msgspec.json.decode(seen.raw)["projections"],
        "stopped": seen.stopped,
    }


def shown(seen: Look, before: Look | None) -> RenderableType:
    """Processes and projections, with what has moved since `before`."""
    rates = None if before is None else rates_of(before, seen)
    return Group(_processes(seen.stack, seen.alive), "", _projections(seen.projections, rates), *_stopped(seen.stopped))


def _stopped(lines: Sequence[str]) -> list[Text]:
    """What has stopped, and where to go from here."""
    if not lines:
        return []
    advice = Text("nenrin doctor explains it, and names the command that mends it", "dim")
    return [Text(), *(Text(plain(line), "bold red") for line in lines), advice]


def rates_of(before: Look, after: Look) -> Rates:
    """How many events a second each generation has applied between two looks."""
    seconds = max(after.at - before.at, 1e-9)
    then, now = _applied(before.projections), _applied(after.projections)
    return {name: max(0, count - then[name]) / seconds for name, count in now.items() if name in then}


def _applied(projections: Projections) -> dict[tuple[str, int], int]:
    """How far each generation is: the sum of its positions."""
    return {
        (projection.name, one.generation): sum(sum(ends.values()) for ends in _offsets(one).values())
        for projection in projections.projections
        for one in projection.generations
        if one.version is not None
    }


def _offsets(generation: Generation) -> dict[str, dict[int, int]]:
    found = versions.parse(generation.version or "").offsets
    return {topic: dict(ends) for topic, ends in found.items()}


def _processes(stack: Running, alive: dict[str, bool]) -> Table:
    where = {"command": stack.command, "query": stack.query, "kafka": stack.kafka or ""}
    columns = ("process", "pid", "", "memory", "where") if stack.processes else ("service", "where")
    table = table_of(f"Stack in {stack.place}", *columns)
    if not stack.processes:
        for name in ("command", "query"):
            table.add_row(name, where[name] or Text("not known here", "dim"))
    for name, pid in stack.processes.items():
        runs = Text("runs", "green") if alive[name] else Text("dead", "bold red")
        table.add_row(name, str(pid), runs, memory(pid) if alive[name] else "", where.get(name, ""))
    table.caption = Text("\n".join(f"{name}: {why}" for name, why in troubles(stack.folder).items()), "red")
    table.caption_justify = "left"
    return table


def _projections(projections: Projections, rates: Rates | None) -> Group:
    columns = ("projection", "generation", "state", "behind", "", "parked", *(() if rates is None else ("events/s",)))
    table = table_of("Projections", *columns, "version")
    encoders = []
    for projection in projections.projections:
        for one in projection.generations:
            table.add_row(*_row(projection, one, rates))
            if one.encoder is not None:
                encoders.append(Text(f"{projection.name} {one.generation} holds vectors of {one.encoder}", "dim"))
    return Group(table, *encoders)


def _row(projection: ProjectionStatus, one: Generation, rates: Rates | None) -> list[str | Text]:
    rate = () if rates is None else (_rate(rates.get((projection.name, one.generation))),)
    return [
        projection.name,
        f"{one.generation} {one.lifecycle}",
        Text(one.state, STATES.get(one.state, "")),
        "unknown" if one.lag_events is None else f"{one.lag_events:,} events",
        "" if one.lag_seconds is None else f"{one.lag_seconds:.2f} s",
        Text(str(one.parked), "yellow" if one.parked else ""),
        *rate,
        positions(one.version),
    ]


def _rate(rate: float | None) -> str:
    return "unknown" if rate is None else f"{rate:,.0f}"

"""`nenrin status`: what runs, and how far behind the log each projection is."""

import os
from pathlib import Path

import msgspec
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from nenrin.cli.running import Running, find
from nenrin.cli.showing import STATES, positions, table_of
from nenrin.client import Session, calls
from nenrin.client.answers import Projections


def status(state: Path | None, as_json: bool) -> None:
    """Print processes and projections. Raises `Unreachable` when the query service does not answer."""
    stack = find(state)
    alive = {name: _alive(pid) for name, pid in stack.processes.items()}
    console = Console(highlight=False)
    if not as_json:
        console.print(_processes(stack, alive), "")
    call = calls.projections()
    with Session(stack.command, stack.query) as session:
        response = session.exchange(call)
    projections = call.read(response.status_code, response.content, None)
    if as_json:
        raw = msgspec.Raw(msgspec.json.encode(msgspec.json.decode(response.content)["projections"]))
        print(msgspec.json.encode(_report(stack, alive, raw)).decode())
    else:
        console.print(_projections(projections))


def _report(stack: Running, alive: dict[str, bool], projections: msgspec.Raw) -> dict[str, object]:
    return {
        "state": stack.folder,
        "command": stack.command,
        "query": stack.query,
        "kafka": stack.kafka,
        "processes": {name: {"pid": pid, "alive": alive[name]} for name, pid in stack.processes.items()},
        "projections": projections,
    }


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # there, and someone else's: Postgres runs as another user when root starts it
    return True


def _processes(stack: Running, alive: dict[str, bool]) -> Table:
    where = {"command": stack.command, "query": stack.query, "kafka": stack.kafka or ""}
    table = table_of(f"Stack in {stack.place}", "process", "pid", "", "where")
    for name in stack.processes or ("command", "query"):
        runs = Text("") if name not in alive else Text("runs", "green") if alive[name] else Text("dead", "bold red")
        table.add_row(name, str(stack.processes.get(name, "")), runs, where.get(name, ""))
    return table


def _projections(projections: Projections) -> Group:
    columns = ("projection", "generation", "state", "behind", "", "parked", "version")
    table = table_of("Projections", *columns)
    encoders = []
    for projection in projections.projections:
        for one in projection.generations:
            table.add_row(
                projection.name,
                f"{one.generation} {one.lifecycle}",
                Text(one.state, STATES.get(one.state, "")),
                "unknown" if one.lag_events is None else f"{one.lag_events:,} events",
                "" if one.lag_seconds is None else f"{one.lag_seconds:.2f} s",
                Text(str(one.parked), "yellow" if one.parked else ""),
                positions(one.version),
            )
            if one.encoder is not None:
                encoders.append(Text(f"{projection.name} {one.generation} holds vectors of {one.encoder}", "dim"))
    return Group(table, *encoders)

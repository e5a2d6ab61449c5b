"""`nenrin parked list`: the events that no projection could apply."""

from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from nenrin.cli.running import find
from nenrin.cli.showing import table_of
from nenrin.client import Session
from nenrin.client.answers import ParkedEvent


def list_parked(state: Path | None, as_json: bool) -> None:
    """Print them, those of every projection."""
    stack = find(state)
    with Session(stack.command, stack.query) as session:
        names = [projection.name for projection in session.projections().projections]
        events = [event for name in names for event in session.parked(name).parked]
    if as_json:
        print(msgspec.json.encode(events).decode())
    else:
        _show(events)


def _show(events: list[ParkedEvent]) -> None:
    console = Console(highlight=False)
    if not events:
        console.print("Nothing is parked.")
        return
    table = table_of("Parked events", "projection", "place", "key", "reason")
    for event in events:
        place = f"{event.topic}/{event.partition} at {event.offset}"
        # what strangers wrote is text, never markup
        table.add_row(event.projection, place, Text(event.key or ""), Text(event.reason))
    console.print(table)

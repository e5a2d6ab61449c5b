"""`nenrin projections list`: every build of every projection."""

import asyncio
import json
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from nenrin.cli.services import settings_for
from nenrin.cli.showing import STATES, plain, table_of
from services.replay.listing import Build, Builds, Listing, listing


def run(state: Path | None, as_json: bool) -> None:
    """Print them. Raises `DatabaseAway`, `GenerationMissing`."""
    found = asyncio.run(listing(settings_for(state)))
    if as_json:
        print(json.dumps(msgspec.to_builtins(found.projections, str_keys=True)))
        return
    console = Console(highlight=False)
    _print(console, found)
    if found.replaying is not None:
        console.print(Text(f"replaying: {plain(found.replaying)}", "dim"))


def _print(console: Console, found: Listing) -> None:
    table = table_of("Projections", "generation", "life", "lag", "rows", "parked", "encoder")
    for projection in found.projections:
        for build in projection.generations:
            table.add_row(f"{projection.name} {build.generation}", _life(projection, build), *_facts(build))
    console.print(table)


def _life(projection: Builds, build: Build) -> Text:
    if build.generation == projection.live:
        return Text(build.lifecycle, "green")
    if build.loaded_at is None:
        return Text("being loaded", "yellow")
    return Text("ends in the past" if build.until is not None else build.lifecycle)


def _facts(build: Build) -> tuple[str | Text, ...]:
    lag = "" if build.lag_events is None else f"{build.lag_events:,} "
    rows = "unknown" if build.rows is None else f"{build.rows:,}"
    return (
        Text.assemble(lag, (build.state, STATES.get(build.state, ""))),
        rows,
        "unknown" if build.parked is None else str(build.parked),
        build.encoder or "",
    )

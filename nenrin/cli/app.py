"""Every command: its words, its options and its help. What it does is in the module that it imports when it runs."""

# ruff: noqa: PLC0415, PLR0913, PLR0917
# A command imports its module when it runs, so that `--help` is quick; an option is a parameter, as typer has it.

import os
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nenrin.cli.endings import describe, explain
from nenrin.cli.options import Collection, Json, State

SERVICES = {
    "command": "Run the command service: it takes documents over HTTP and appends them to Kafka.",
    "embedder": "Run an embedder: it turns documents into passages with vectors, from topic to topic.",
    "projector": "Run a projector: it folds events into the rows that readers see.",
    "heads": "Run the heads probe: it observes how far the log reaches, so that lag stays honest.",
    "query": "Run the query service: it answers over HTTP, from Postgres only.",
}
PARTS = "One part, on one's own Kafka and Postgres"

app = typer.Typer(
    name="nenrin",
    epilog=describe(),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Mode(StrEnum):
    """How to search."""

    DENSE = "dense"
    TEXT = "text"


parked = typer.Typer(help="Events that could not be applied: kept, counted, and looked at here.", no_args_is_help=True)
app.add_typer(parked, name="parked")


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """An event-sourced backend for LLM and RAG systems: every answer says how much of the log it has seen."""
    if debug:
        os.environ["NENRIN_DEBUG"] = "1"


@app.command(epilog="Example: nenrin demo ~/notes")
def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]",
            help="Markdown, reStructuredText and text files to add; by default Python's own language reference.",
            show_default=False,
        ),
    ] = None,
    state: Annotated[Path, typer.Option("--state", metavar="DIR", help="State folder of the demo's own stack.")] = Path(
        ".nenrin-demo"
    ),
    record: Annotated[Path | None, typer.Option("--record", metavar="SVG", hidden=True)] = None,
) -> None:
    """See it work, in about two minutes: a stack of its own, real text, searches, and what happens when parts stop."""
    from nenrin.demo import run

    run(state, folder, record)


@app.command(epilog="Example: nenrin up --state /var/lib/nenrin --free-ports")
def up(
    state: State = None,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Take ports that nobody uses.")] = False,
) -> int:
    """Start everything on this machine and keep it running: Kafka, Postgres and Nenrin's services.

    Ctrl-C stops it; the next start goes on where this one stopped.
    """
    from nenrin.cli.up import up as run

    return run(state, free_ports)


@app.command(epilog="Example: nenrin add README.md docs/ --collection manual")
def add(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files and folders.", show_default=False)],
    collection: Collection = "default",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Add text files as documents, or replace them: .md, .markdown, .rst and .txt, folders with all below them.

    A document's id is its path below the current folder. Prints the token to read your own writes with.
    """
    from nenrin.cli.add import add as run

    run(paths, collection, state, as_json)


@app.command(epilog='Example: nenrin search "how do I stop it?" --collection manual --at-least TOKEN --wait 5')
def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for.", show_default=False)],
    collection: Collection = "default",
    mode: Annotated[Mode, typer.Option("--mode", "-m", help="By meaning, or by words.")] = Mode.DENSE,
    k: Annotated[int, typer.Option("-k", "--k", metavar="N", help="How many documents.")] = 5,
    at_least: Annotated[
        str | None,
        typer.Option("--at-least", metavar="TOKEN", help="Answer only if it covers this version.", show_default=False),
    ] = None,
    wait: Annotated[float, typer.Option("--wait", metavar="S", help="Seconds to wait for that version.")] = 0,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Search a collection. Every answer says how much of the log it has seen."""
    from nenrin.cli.search import Question
    from nenrin.cli.search import search as run

    run(Question(text, collection, mode.value, k, at_least, wait), state, as_json)


@app.command(epilog="Example: nenrin status --json")
def status(state: State = None, as_json: Json = False) -> None:
    """What runs, and how far behind the log every projection is."""
    from nenrin.cli.status import status as run

    run(state, as_json)


@parked.command("list", epilog="Example: nenrin parked list --json")
def list_parked(state: State = None, as_json: Json = False) -> None:
    """List the events that could not be applied, with their places in the log and the reasons."""
    from nenrin.cli.parked import list_parked as run

    run(state, as_json)


@app.command(rich_help_panel=PARTS, epilog="Example: NENRIN_KAFKA=k:9092 NENRIN_POSTGRES=postgresql://… nenrin init")
def init(state: State = None) -> None:
    """Make topics, roles and the control schema on one's own Kafka and Postgres, or check them.

    Prints its plan first, and does nothing that is done already. NENRIN_KAFKA and NENRIN_POSTGRES say where,
    NENRIN_PARTITIONS how many partitions the topics get.
    """
    from nenrin.cli.services import init as run

    run(state)


def _service(name: str) -> Callable[[Path | None], None]:
    def command(state: State = None) -> None:
        from nenrin.cli.services import run

        run(name, state)

    return command


for _name, _what in SERVICES.items():
    app.command(
        _name,
        rich_help_panel=PARTS,
        help=f"{_what}\n\nNENRIN_KAFKA and NENRIN_POSTGRES say where, or the running stack in --state.",
        epilog=f"Example: NENRIN_KAFKA=k:9092 NENRIN_POSTGRES=postgresql://… nenrin {_name}",
    )(_service(_name))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status."""
    try:
        status = app(arguments, prog_name="nenrin", standalone_mode=False)
    except Exception as error:
        status = explain(error, bool(os.environ.get("NENRIN_DEBUG")))
    sys.exit(status or 0)

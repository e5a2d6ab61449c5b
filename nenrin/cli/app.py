"""Every command: its words, its options and its help. What it does is in the module that it imports when it runs."""

# ruff: noqa: PLC0415, PLR0913, PLR0917
# A command imports its module when it runs, so that `--help` is quick; an option is a parameter, as typer has it.

import os
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from inspect import getdoc
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
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Mode(StrEnum):
    """How to search."""

    HYBRID = "hybrid"
    DENSE = "dense"
    TEXT = "text"


class Form(StrEnum):
    """How files are read."""

    TEXT = "text"
    HTML = "html"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"


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
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Files and folders; - reads standard input.", show_default=False),
    ],
    collection: Collection = "default",
    glob: Annotated[
        list[str] | None,
        typer.Option("--glob", "-g", metavar="PATTERN", help="Only files that match, of any kind. Repeatable."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="PATTERN", help="Not files that match, as in a .gitignore. Repeatable."),
    ] = None,
    form: Annotated[
        Form | None,
        typer.Option(
            "--format",
            metavar="FORM",
            help="Read files as text, html, jsonl, csv or tsv, whatever their names.",
            show_default=False,
        ),
    ] = None,
    document_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The id of a text from -.", show_default=False)
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(
            "--id-column", metavar="NAME", help="Column or member with the id.", show_default="document_id or id"
        ),
    ] = None,
    text_column: Annotated[
        str, typer.Option("--text-column", metavar="NAME", help="Column or member with the text.")
    ] = "text",
    title_column: Annotated[
        str, typer.Option("--title-column", metavar="NAME", help="Column or member with the title.")
    ] = "title",
    number_column: Annotated[
        list[str] | None,
        typer.Option("--number-column", metavar="NAME", help="Metadata column that holds numbers. Repeatable."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write documents that are there unchanged, too.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on adding what changes, until Ctrl-C.")] = False,
    remove_deleted: Annotated[
        bool, typer.Option("--remove-deleted", help="With --watch: remove the documents of files that are deleted.")
    ] = False,
    state: State = None,
    as_json: Json = False,
) -> int:
    """Add files as documents, or replace them; what is there unchanged is not written again.

    Text (.md, .markdown, .rst, .txt) and HTML (.html, .htm, .xhtml) make one document a file: its id is the path below
    the current folder, its title the first heading. JSONL (.jsonl, .ndjson) and tables (.csv, .tsv) make one a line,
    with the id in document_id or id, then text, title, source_uri and metadata; all other columns become metadata.
    The last line with an id wins.

    Of folders everything below is taken, without hidden files and what .gitignore and .nenrinignore name; links to
    folders are not followed. What can't be a document is left out and named, the rest is added, and the exit status
    is 1.

    Prints the token to read your own writes with. Ctrl-C ends it with status 130 once the page on its way is written;
    it ends --watch with status 0.
    """
    from nenrin.cli.add import add as run
    from nenrin.cli.jobs import job

    return run(
        job(
            paths,
            collection,
            globs=glob,
            ignore=ignore,
            form=form and form.value,
            document_id=document_id,
            columns=(id_column, text_column, title_column, number_column),
            force=force,
            watch=watch,
            remove_deleted=remove_deleted,
            state=state,
            as_json=as_json,
        )
    )


@app.command(epilog='Example: nenrin search "how do I stop it?" --collection manual --at-least TOKEN --wait 5')
def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for.", show_default=False)],
    collection: Collection = "default",
    mode: Annotated[
        Mode, typer.Option("--mode", "-m", metavar="MODE", help="hybrid, or only dense (meaning) or text (words).")
    ] = Mode.HYBRID,
    k: Annotated[int, typer.Option("-k", "--k", metavar="N", help="How many documents.")] = 5,
    filters: Annotated[
        str | None,
        typer.Option(
            "--filter",
            "-f",
            metavar="JSON",
            help='Over metadata, such as {"lang": "en", "year": {"$gte": 2020}}.',
            show_default=False,
        ),
    ] = None,
    at_least: Annotated[
        str | None,
        typer.Option("--at-least", metavar="TOKEN", help="Answer only if it covers this version.", show_default=False),
    ] = None,
    wait: Annotated[float, typer.Option("--wait", metavar="S", help="Seconds to wait for that version.")] = 0,
    max_lag: Annotated[
        float | None,
        typer.Option("--max-lag", metavar="S", help="Answer only if it lags no more seconds.", show_default=False),
    ] = None,
    generation: Annotated[
        int | None,
        typer.Option("--generation", metavar="N", help="Ask this generation, not the live one.", show_default=False),
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Search a collection. Every answer says how much of the log it has seen.

    Nothing found is an answer too: exit status 0. With --json the service's answer is printed as it came.
    """
    from nenrin.cli.search import question
    from nenrin.cli.search import search as run

    asked = question(text, collection, mode.value, k, filters, at_least, wait, max_lag, generation)
    run(asked, state, as_json)


@app.command(epilog="Example: nenrin status --watch")
def status(
    watch: Annotated[
        bool, typer.Option("--watch", "--live", "-w", help="Refresh in place, with events/s, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option("--every", metavar="S", min=0.1, help="With --watch: seconds between looks.")
    ] = 1.0,
    state: State = None,
    as_json: Json = False,
) -> None:
    """What runs, and how far behind the log every projection is."""
    from nenrin.cli.status import live
    from nenrin.cli.status import status as run

    if watch:
        live(state, every, as_json)
    else:
        run(state, as_json)


@parked.command("list", epilog="Example: nenrin parked list --json")
def list_parked(state: State = None, as_json: Json = False) -> None:
    """List the events that could not be applied, with their places in the log and the reasons."""
    from nenrin.cli.parked import list_parked as run

    run(state, as_json)


@parked.command("show", epilog="Example: nenrin parked show documents/2@17")
def show_parked(
    place: Annotated[
        list[str],
        typer.Argument(
            metavar="PLACE",
            help="TOPIC/PARTITION@OFFSET as `parked list` prints it; a projection before it to ask only that one.",
            show_default=False,
        ),
    ],
    state: State = None,
    as_json: Json = False,
) -> None:
    """Show one event that could not be applied: why, its headers, and its value."""
    from nenrin.cli.parked import show_parked as run

    run(place, state, as_json)


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


def _paragraphs(text: str) -> str:
    """A docstring with each paragraph on one line, for a terminal to wrap."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


for _command in (*app.registered_commands, *parked.registered_commands):
    _command.help = _paragraphs(_command.help or getdoc(_command.callback) or "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status."""
    try:
        status = app(arguments, prog_name="nenrin", standalone_mode=False)
    except Exception as error:
        status = explain(error, bool(os.environ.get("NENRIN_DEBUG")))
    sys.exit(status or 0)

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


parked = typer.Typer(help="Events that could not be applied: kept, counted, and dealt with here.", no_args_is_help=True)
app.add_typer(parked, name="parked")


projections = typer.Typer(help="Projections: the read models that the log is folded into.", no_args_is_help=True)
app.add_typer(projections, name="projections")


topics = typer.Typer(help="Topics: the log itself.", no_args_is_help=True)
app.add_typer(topics, name="topics")


encoders = typer.Typer(help="Encoders: the models that make vectors of texts.", no_args_is_help=True)
app.add_typer(encoders, name="encoders")


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


@app.command(epilog="Example: nenrin up --state /var/lib/nenrin --scale embedder=2 --scale projector=2")
def up(
    state: State = None,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Take ports that nobody uses.")] = False,
    scale: Annotated[
        list[str] | None,
        typer.Option(
            "--scale",
            metavar="NAME=N",
            help="Run a service N times: command, embedder, projector, heads or query. Repeatable.",
        ),
    ] = None,
) -> int:
    """Start everything on this machine and keep it running: Kafka, Postgres and Nenrin's services.

    Ctrl-C stops it; the next start goes on where this one stopped, with as many of each service as it is told.
    """
    from nenrin.cli.up import up as run

    return run(state, free_ports, scale or ())


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


@app.command(epilog="Example: nenrin diff TOKEN 2026-11-21T20:00:00Z --collection manual")
def diff(
    before: Annotated[
        str, typer.Argument(metavar="VERSION", help="A version token, or a time (RFC 3339).", show_default=False)
    ],
    after: Annotated[str, typer.Argument(metavar="VERSION", help="The other one.", show_default=False)],
    collection: Annotated[
        str | None,
        typer.Option("--collection", "-c", metavar="C", help="Only of this collection.", show_default=False),
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """List the documents that were added, changed and removed from one version to another, by the log alone.

    A time means the times that Kafka gave the records. The first version is the one before, whichever is older. A
    document has changed when its text, title, metadata or source_uri is another. With --json each is a line of its own,
    printed as it is found. It needs Kafka: of a state folder, or NENRIN_KAFKA.
    """
    from nenrin.cli.diffing import Asked
    from nenrin.cli.diffing import diff as run

    run(Asked(before, after, collection, state, as_json))


@app.command(epilog="Example: nenrin doctor")
def doctor(state: State = None, as_json: Json = False) -> int:
    """Say what is wrong, and name the command that mends it.

    Looks at Kafka, Postgres and, on this machine, the stack's processes, and holds topics and positions against each
    other; it changes nothing. Exit status: 0 when nothing is wrong, 1 when there are problems, 3 when there is no stack
    to look at.
    """
    from nenrin.cli.doctor import doctor as run

    return run(state, as_json)


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


Places = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PLACE]", help="TOPIC/PARTITION@OFFSET as `parked list` prints it.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="All that nothing has resolved.")]
Parking = Annotated[
    str | None,
    typer.Option("--projection", metavar="NAME", help="Only what this projection has parked.", show_default=False),
]
By = Annotated[
    str | None, typer.Option("--by", metavar="WHO", help="Who decides.", show_default="the user who is logged in")
]
Force = Annotated[bool, typer.Option("--force", help="Promote it whatever gates say; needs --reason.")]
Overruling = Annotated[
    str | None,
    typer.Option("--reason", metavar="TEXT", help="Why gates are overruled; it is kept.", show_default=False),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


@parked.command("retry", epilog="Example: nenrin parked retry documents/2@17 documents/2@18")
def retry_parked(
    places: Places = None,
    everything: All = False,
    projection: Parking = None,
    by: By = None,
    again: Annotated[bool, typer.Option("--again", help="Also what was retried before.")] = False,
    dry_run: DryRun = False,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Append events that could not be applied to their topic again, as they were and in order.

    The log is not changed: each comes to lie at its end once more, and is judged there like any other event. If it is
    good now, it heals the one that is parked. One that lay in a partition which is not its key's is appended to the
    key's own.

    An event is never appended twice unless --again says so, not even when a retry is cut off and done again: it then
    looks in the log first. It needs Kafka and Postgres: of a state folder, or NENRIN_KAFKA and NENRIN_POSTGRES.
    """
    from nenrin.cli.deciding import Order
    from nenrin.cli.deciding import retry_parked as run

    run(Order(places or [], everything, projection, by, dry_run, state, as_json), again)


@parked.command("skip", epilog='Example: nenrin parked skip documents/2@17 --reason "a test event"')
def skip_parked(
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept.", show_default=False)],
    places: Places = None,
    everything: All = False,
    projection: Parking = None,
    by: By = None,
    dry_run: DryRun = False,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Give up events that could not be applied, on record: they count no longer, and hold nothing up.

    The log is not changed, and nothing is deleted: `parked show` says who skipped an event, when and why. That holds
    for every later build of the projection too. It needs Postgres: of a state folder, or NENRIN_POSTGRES.
    """
    from nenrin.cli.deciding import Order
    from nenrin.cli.deciding import skip_parked as run

    run(Order(places or [], everything, projection, by, dry_run, state, as_json), reason)


@projections.command("list", epilog="Example: nenrin projections list")
def list_projections(state: State = None, as_json: Json = False) -> None:
    """List every build of every projection: which is live, which are being built, kept, or of the past.

    It needs Postgres: of a state folder, or NENRIN_POSTGRES.
    """
    from nenrin.cli.generations import run

    run(state, as_json)


@projections.command("rebuild", epilog="Example: nenrin projections rebuild passages")
def rebuild_projection(
    name: Annotated[str, typer.Argument(metavar="NAME", help="documents or passages.", show_default=False)],
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", metavar="E", help="Whose vectors to keep; the live one's.", show_default=False),
    ] = None,
    no_promote: Annotated[
        bool, typer.Option("--no-promote", help="Leave it beside the live one; it follows the log.")
    ] = False,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="TOKEN|TIME",
            help="End there: a version token, or a time as 2026-11-21T20:00:00Z. Implies --no-promote.",
            show_default=False,
        ),
    ] = None,
    postgres: Annotated[
        str | None,
        typer.Option("--postgres", metavar="DSN", help="Build in this database, from the log.", show_default=False),
    ] = None,
    force: Force = False,
    reason: Overruling = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            "--queries", metavar="FILE", help="Questions for both encoders, one in a line.", show_default=False
        ),
    ] = None,
    by: By = None,
    state: State = None,
    as_json: Json = False,
) -> int:
    """Build a projection anew from the log, beside the live one; prove it; and promote it.

    The live one serves and moves meanwhile. Then the new one stops exactly at a version of the live one, and both are
    compared there. A gate that fails leaves everything as it was, and says which documents differ.

    Whatever ends it, the same command goes on where it stopped. One at a time replays in a database; a second is told
    who does. It needs Kafka and Postgres: of a state folder, or NENRIN_KAFKA and NENRIN_POSTGRES.
    """
    from nenrin.cli.rebuilding import Asked, run

    return run(Asked(name, encoder, no_promote, until, postgres, force, reason, by, state, as_json, queries))


Name = Annotated[str, typer.Argument(metavar="NAME", help="documents or passages.", show_default=False)]
Why = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; it is kept.", show_default=False)]


@projections.command("promote", epilog="Example: nenrin projections promote passages")
def promote_generation(
    name: Name,
    generation: Annotated[
        int | None,
        typer.Option("--generation", metavar="N", min=1, help="Which one; the newest that waits.", show_default=False),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            "--queries",
            metavar="FILE",
            help='Compare answers of encoders to these too: one a line, or JSON Lines with "query".',
            show_default=False,
        ),
    ] = None,
    min_overlap: Annotated[
        float | None,
        typer.Option(
            "--min-overlap",
            metavar="SHARE",
            min=0,
            max=1,
            help="Neighbours that another encoder has to agree on, 0 to 1; else it is only told.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote it whatever gates say; needs --reason.")] = False,
    reason: Why = None,
    by: By = None,
    state: State = None,
    as_json: Json = False,
) -> int:
    """Make a generation live that was built beside the live one, if it passes the gates.

    It stops exactly at a version of the live one, which goes on; both are compared there. A gate that fails leaves
    everything as it was, and says which documents differ. The generation that was live is kept, for `rollback`.
    """
    from nenrin.cli.promoting import Asked, run_promote

    return run_promote(Asked(name, generation, queries, min_overlap, force, reason, by, state, as_json))


@projections.command("rollback", epilog="Example: nenrin projections rollback passages")
def roll_back(name: Name, reason: Why = None, by: By = None, state: State = None, as_json: Json = False) -> int:
    """Make the previous generation live again, at once; it has followed the log all the while.

    The two change places, so that doing it again undoes it. Tokens stay valid.
    """
    from nenrin.cli.promoting import run_rollback

    return run_rollback(name, reason, by, state, as_json)


@projections.command("retire", epilog="Example: nenrin projections retire passages 2")
def retire_generation(
    name: Name,
    generation: Annotated[int, typer.Argument(metavar="GENERATION", min=1, help="Its number.", show_default=False)],
    by: By = None,
    state: State = None,
    as_json: Json = False,
) -> int:
    """Drop a generation that is not live, without readers noticing. The log has all that was in it.

    Dropping the previous one leaves nothing to roll back to.
    """
    from nenrin.cli.promoting import run_retire

    return run_retire(name, generation, by, state, as_json)


@projections.command("verify", epilog="Example: nenrin projections verify passages")
def verify_generation(
    name: Name,
    generation: Annotated[
        int | None,
        typer.Option("--generation", metavar="N", min=1, help="Which one; the live one.", show_default=False),
    ] = None,
    by: By = None,
    state: State = None,
    as_json: Json = False,
) -> int:
    """Replay a projection into a scratch generation, and compare every row with it at one version.

    Nothing that is kept with a row is believed: texts and vectors are compared as they lie there, bit by bit. Prints
    each document that differs, and in what; exits with 1 then. Readers and projectors go on; nothing is repaired.
    """
    from nenrin.cli.verifying import run

    return run(name, generation, by, state, as_json)


@projections.command("reset", epilog="Example: nenrin projections reset passages --embed-again")
def reset_projections(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]", help="documents or passages; both by default.", show_default=False),
    ] = None,
    embed_again: Annotated[
        bool,
        typer.Option("--embed-again", help="Delete the topic of vectors too, and have the embedder write it again."),
    ] = False,
    state: State = None,
) -> None:
    """Begin a projection anew from what is in the log; `nenrin doctor` says when that is needed.

    An empty generation becomes live at once, and a projector fills it: answers say how far it is. The generation before
    is kept, and can still be asked for by its number. Nothing of the log is touched but, with --embed-again, the topic
    of vectors: the embedder takes them from its cache where it has them, and encodes the others.
    """
    from nenrin.cli.resetting import reset as run

    run(names or (), embed_again, state)


@encoders.command("add", epilog="Example: nenrin encoders add models/bge-small-en-v1.5 --promote")
def add_encoder(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A folder as sentence-transformers saves it, a packaged model, or one in Hugging Face's cache.",
            show_default=False,
        ),
    ],
    promote: Annotated[
        bool, typer.Option("--promote", help="Then rebuild passages with it, and make that live if the gates agree.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until all vectors are there.")] = True,
    window: Annotated[
        int | None,
        typer.Option("--window", metavar="N", help="Tokens that the model reads at once.", show_default=False),
    ] = None,
    passage: Annotated[
        int | None, typer.Option("--passage", metavar="N", help="Tokens of a passage, at most.", show_default=False)
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option("--overlap", metavar="N", help="Tokens that passages share, at most.", show_default=False),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option("--queries", metavar="FILE", help="Ask these of both encoders too.", show_default=False),
    ] = None,
    force: Force = False,
    reason: Overruling = None,
    by: By = None,
    state: State = None,
    as_json: Json = False,
) -> int:
    """Embed with another model too, beside those there are: answers are found with it once it is promoted.

    Its vectors go into a topic of their own, written by an embedder of its own, which `nenrin up` starts by itself; it
    gives way to everything else until it has caught up. Searches, adds and removes go on meanwhile, and every answer
    names the encoder that it was found with. Nothing is fetched from the network. Window, passage and overlap are a
    part of what an encoder is: others make another encoder.

    Whatever ends it, the same command goes on where it stopped.
    """
    from encoders.reading import Cut
    from nenrin.cli.encoders import Asked, run_add

    cut = Cut(window, passage, overlap)
    return run_add(Asked(model, cut, promote, wait, queries, force, reason, by, state, as_json))


@encoders.command("list", epilog="Example: nenrin encoders list --json")
def list_encoders(state: State = None, as_json: Json = False) -> None:
    """List the encoders that are used or were added: how far the vectors of each are, and which generations use it."""
    from nenrin.cli.encoders import run_list

    run_list(state, as_json)


@encoders.command("remove", epilog="Example: nenrin encoders remove bge-small-en-v1-5-1a2b3c4d --delete-topic")
def remove_encoder(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `encoders list` prints it.", show_default=False)],
    delete_topic: Annotated[bool, typer.Option("--delete-topic", help="Delete its vectors too.")] = False,
    state: State = None,
) -> None:
    """Embed no longer with an encoder that no generation uses; `nenrin up` ends its embedder."""
    from nenrin.cli.encoders import run_remove

    run_remove(name, delete_topic, state)


@topics.command("copy", epilog="Example: nenrin topics copy v2.")
def copy_topics(
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="What the copy's topics begin with.", show_default=False)
    ],
    state: State = None,
) -> None:
    """Copy the log into topics of another prefix, with the partitions that NENRIN_PARTITIONS says.

    For when partitions were added to `documents`, which parts a document's events: the copy has them in one partition
    again, in the order of the broker's times. Stop writing first. What is there is left as it is; run everything with
    NENRIN_TOPIC_PREFIX afterwards, and `nenrin projections reset`.
    """
    from nenrin.cli.resetting import copy as run

    run(prefix, state)


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


for _command in (
    *app.registered_commands,
    *parked.registered_commands,
    *projections.registered_commands,
    *topics.registered_commands,
    *encoders.registered_commands,
):
    _command.help = _paragraphs(_command.help or getdoc(_command.callback) or "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status."""
    try:
        status = app(arguments, prog_name="nenrin", standalone_mode=False)
    except Exception as error:
        status = explain(error, bool(os.environ.get("NENRIN_DEBUG")))
    sys.exit(status or 0)

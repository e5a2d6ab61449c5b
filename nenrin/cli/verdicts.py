"""What a replay found, as a person reads it."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nenrin.cli.showing import plain, positions, table_of
from services.replay.report import Gate, Outcome, Report

COLOURS = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.UNKNOWN: "magenta"}
SHOWN = 5
"""Documents of a gate that a person reads; --json has all that were found."""


def table(report: Report) -> RenderableType:
    """A generation: what it is, how long each phase took, and what the gates say of it."""
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    facts.add_row("encoder", report.encoder or "none")
    facts.add_row("version", positions(report.version))
    facts.add_row("rows", "unknown" if report.rows is None else f"{report.rows:,}")
    facts.add_row("seconds", ", ".join(f"{phase} {seconds:,.1f}" for phase, seconds in report.seconds.items()))
    fate = "live" if report.promoted else "not promoted"
    head = Text.assemble((f"{report.projection} generation {report.generation}", "bold"), " ", (fate, "cyan"))
    forced = [Text(f"forced: {plain(report.forced_because)}", "yellow")] if report.forced_because else []
    return Group(head, facts, *forced, *([gates(report.gates)] if report.gates else []))


def gates(found: Sequence[Gate]) -> RenderableType:
    """Gates, with the first documents that differ."""
    shown = table_of("", "gate", "outcome", "what was found")
    shown.title = None
    for gate in found:
        outcome = Text(gate.outcome.replace("_", " "), COLOURS.get(gate.outcome, "dim"))
        shown.add_row(gate.name, outcome, Text(plain(gate.detail)))
        for each in gate.documents[:SHOWN]:
            shown.add_row("", "", Text(plain(f"{each.collection}/{each.document_id}: {each.how}", 300), "dim"))
        if len(gate.documents) > SHOWN:
            shown.add_row("", "", Text(f"and {len(gate.documents) - SHOWN} more, with --json", "dim"))
    return shown

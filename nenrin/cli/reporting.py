"""What `nenrin add` says at its end."""

from pathlib import Path

from rich.console import Console
from rich.filesize import decimal

from nenrin.cli.showing import plain
from nenrin.cli.totals import Totals

SHOWN = 20
"""Reasons that a person reads."""


def report(console: Console, totals: Totals, token: str, collection: str, state: Path | None) -> None:
    """Counts, reasons, and how to read the documents back."""
    for item in totals.left_out[:SHOWN]:
        console.print(f"left out  {plain(str(item))}", style="yellow", markup=False)
    if totals.left_out_count > SHOWN:
        console.print(f"left out  {totals.left_out_count - SHOWN:,} more", style="yellow")
    if totals.others:
        console.print(_others(totals), style="dim", markup=False)
    console.print(summary(totals))
    if totals.added or totals.removed:
        where = f"--collection {collection}" + ("" if state is None else f" --state {state}")
        console.print("To read what was written for sure:")
        console.print(f'  nenrin search "…" {where} --wait 30 --at-least {token}', markup=False)


def summary(totals: Totals) -> str:
    """The counts in a line."""
    counts = [_documents(totals.added, "added")]
    counts += [f"{totals.unchanged:,} unchanged"] if totals.unchanged else []
    counts += [f"{totals.removed:,} removed"] if totals.removed else []
    counts += [f"{totals.left_out_count:,} left out"] if totals.left_out_count else []
    return f"{', '.join(counts)}: {decimal(totals.bytes)} in {totals.seconds:.1f} s."


def _documents(count: int, what: str) -> str:
    return f"{count:,} document{'' if count == 1 else 's'} {what}"


def _others(totals: Totals) -> str:
    """The files of a folder that are of no kind known here."""
    kinds = ", ".join(f"{count:,} {suffix or 'without a suffix'}" for suffix, count in totals.others.most_common(5))
    more = ", …" if len(totals.others) > 5 else ""
    return f"passed over  files of other kinds, which --glob takes as text: {kinds}{more}"

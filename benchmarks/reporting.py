"""Figures as a table: what was measured, against what, and whether it reaches its mark."""

import msgspec
from rich.console import Console
from rich.table import Table


class Figure(msgspec.Struct, frozen=True):
    """One line of the table. `reached` is None where there is no mark to reach."""

    what: str
    measured: str
    baseline: str = ""
    mark: str = ""
    reached: bool | None = None


def show(title: str, hardware: str, figures: list[Figure]) -> None:
    """Print the table."""
    table = Table("what", "measured", "baseline", "must reach", "", title=f"{title}\n{hardware}", title_justify="left")
    for figure in figures:
        verdict = {True: "[green]reached", False: "[red]missed", None: ""}[figure.reached]
        table.add_row(figure.what, figure.measured, figure.baseline, figure.mark, verdict)
    Console(width=140).print(table)


def quantile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]

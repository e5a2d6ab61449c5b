"""The figures as a page of `docs/evidence/`."""

import re
from collections.abc import Sequence
from datetime import datetime

from benchmarks.reporting import Figure

VERDICTS = {True: "reached", False: "**missed**", None: ""}

FOLDER = r"[^\s\"]*nenrin-load-\w+"
"""The run's own folder, which says nothing to a reader."""

HEAD = """# Under load

What one run of `python -m benchmarks.under_load` showed, begun {began:%Y-%m-%d %H:%M} UTC on {hardware},
with Kafka, Postgres, every service and the callers on that one machine. Writers and readers call at a steady rate,
answered or not.

- **Load**: commands at twice the rate that the encoder was measured to take just before.
- **Away**: a server frozen with SIGSTOP, which takes connections and never answers; then killed and kept away.
- **Full disks**: a server's data on a file system of its own that is filled to the last byte, then freed.

| what | measured | baseline, or what was said | must | |
|---|---|---|---|---|
"""


def page(began: datetime, hardware: str, figures: Sequence[Figure]) -> str:
    """The whole page, in Markdown."""
    rows = "".join(_row(figure) for figure in figures)
    return HEAD.format(began=began, hardware=hardware) + re.sub(FOLDER, "DIR", rows)


def _row(figure: Figure) -> str:
    cells = (figure.what, figure.measured, figure.baseline, figure.mark, VERDICTS[figure.reached])
    return f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in cells)} |\n"

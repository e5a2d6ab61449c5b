"""Findings about generations beside the live ones: that there are some is as it should be. Pure."""

from collections.abc import Iterator

from schemas.mending import REBUILD, RETIRE
from services.doctor.facts import Database, Other
from services.doctor.findings import Finding, ok, warning


def generations(database: Database) -> Iterator[Finding]:
    """One finding for each; none of them keeps the live generation from its work, so none is a problem."""
    for other in database.others:
        yield _other(other)


def _other(other: Other) -> Finding:
    if other.holder is not None:
        return ok(other.name, f"projectors leave it for now: {other.holder}")
    if not other.loaded:
        return warning(
            other.name,
            "its rows are not all there, and nobody loads them: a rebuild was broken off",
            f"`{REBUILD} {other.projection}` goes on with it, or drops it",
        )
    if other.unowned:
        return warning(
            other.name,
            f"nobody owns partitions {list(other.unowned)}: it does not follow the log",
            f"see that a projector runs, and that it hasn't stopped; `{RETIRE} {other.projection} {other.number}` "
            "drops a generation that nobody needs",
        )
    behind = f", {other.behind:,} offsets behind the live one" if other.behind else ""
    return ok(other.name, f"follows the log{behind}")

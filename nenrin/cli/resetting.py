"""`nenrin projections reset` and `nenrin topics copy`: what mends a position accident."""

from collections.abc import Sequence
from pathlib import Path

from nenrin.cli.services import settings_for


def reset(names: Sequence[str], embed_again: bool, state: Path | None) -> None:
    """Have projections begin anew. Raises what the topics or the database lack."""
    from services.init import reset as run  # noqa: PLC0415  (it imports the drivers of both servers)

    run(settings_for(state), names, embed_again=embed_again)


def copy(prefix: str, state: Path | None) -> None:
    """Copy the log into other topics. Raises what stands in the way."""
    from services.init import copy as run  # noqa: PLC0415  (it imports the drivers of both servers)

    run(settings_for(state), prefix)

"""What a shell offers for an option, asked of the running stack. A shell is never told of an error."""

from pathlib import Path

import typer

from schemas.errors import NenrinError

PATIENCE = 1.0
"""Seconds: a key was pressed, and somebody waits."""


def collections(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The collections that begin like this, with their counts."""
    from nenrin.cli.running import find_stack  # noqa: PLC0415  (only when asked for)
    from nenrin.client import Session  # noqa: PLC0415

    try:
        stack = find_stack(_state(context))
        with Session(stack.command, stack.query, retry_for=0, timeout=PATIENCE) as session:
            found = session.collections().collections
    except NenrinError:
        return []
    return [(each.name, f"{each.documents:,} documents") for each in found if each.name.startswith(incomplete)]


def _state(context: typer.Context) -> Path | None:
    state = context.params.get("state")
    return None if state is None else Path(state)

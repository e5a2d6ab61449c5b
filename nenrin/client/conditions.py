"""What a reader asks of an answer beside its content: how fresh, from which generation, how long to wait."""

from collections.abc import Iterator
from typing import TypedDict

from schemas import versions


class Conditions(TypedDict, total=False):
    """The keywords that every read takes."""

    at_least: str | None
    """The version that the answer must cover, as a token. Left out: the session's own. None: whatever there is."""

    wait: float
    """Seconds that the service may wait for that version, at most 30. Left out: the session's own."""

    max_lag: float
    """Seconds that the answer may lag behind the log. An unknown lag is too much."""

    lenient: bool
    """Take an answer that does not meet this, instead of `Behind`."""

    generation: int
    """Another build of the projection, while it exists."""


LONGEST_WAIT = 30.0
"""Seconds; no service waits longer."""


def patience(conditions: Conditions, wait: float) -> float:
    """How many seconds the service is allowed to wait, `wait` where the conditions don't say."""
    return min(conditions.get("wait", wait), LONGEST_WAIT)


def headers(conditions: Conditions, token: str | None, wait: float) -> Iterator[tuple[str, str]]:
    """The headers of a read by a session that waits so long and has come to `token`; None: it has seen nothing.

    Raises `MalformedToken` for an `at_least` that is none: what HTTP cannot carry would never reach the service.
    """
    at_least = conditions.get("at_least", token)
    if at_least is not None:
        if at_least is not token:
            versions.parse(at_least)
        yield "Nenrin-At-Least", at_least
        if (seconds := patience(conditions, wait)) > 0:
            yield "Prefer", f"wait={seconds:.3f}"
    if "max_lag" in conditions:
        yield "Nenrin-Max-Lag", f"{conditions['max_lag']:.3f}"
    if conditions.get("lenient"):
        yield "Prefer", "handling=lenient"
    if "generation" in conditions:
        yield "Nenrin-Generation", str(conditions["generation"])

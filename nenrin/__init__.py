"""Nenrin's client: `Session` and `AsyncSession`, what they answer, and what can go wrong.

The names are imported when they are first used, so that `nenrin --help` need not wait for an HTTP client.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nenrin.client import AsyncSession, Draft, Session, answers, errors
    from nenrin.client.errors import (
        Behind,
        CutOff,
        NoStack,
        NotThere,
        Problem,
        Refused,
        TopicRecreated,
        Unavailable,
        UnexpectedAnswer,
        Unreachable,
    )
    from schemas.errors import MalformedToken, NenrinError

__all__ = [
    "AsyncSession",
    "Behind",
    "CutOff",
    "Draft",
    "MalformedToken",
    "NenrinError",
    "NoStack",
    "NotThere",
    "Problem",
    "Refused",
    "Session",
    "TopicRecreated",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "answers",
    "errors",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    client = import_module("nenrin.client")
    return getattr(client, name, None) or getattr(client.errors, name)

"""Which tests go to one worker together, and which of these groups are begun first.

A stack of every process costs half a minute of a core to start and some of one to keep: tests that need the same one
go to the same worker. The longest groups come first, so that no worker is left alone with one at the end.
"""

from collections.abc import Iterable, MutableSequence

import pytest
from xdist.scheduler import LoadScopeScheduling

WHOLE_STACK = "whole stack"
FUZZ = "fuzz"
STACKED = frozenset(
    f"tests/{module}.py"
    for module in (
        "docs/test_examples",
        "docs/test_mending",
        "docs/test_producers",
        "laws/test_contract_one",
        "nenrin/test_add",
        "nenrin/test_client_with_a_stack",
        "nenrin/test_deciding",
        "nenrin/test_langchain",
        "nenrin/test_llamaindex",
        "nenrin/test_small_install",
        "nenrin/test_with_a_stack",
        "published/test_answers",
        "published/test_topics",
        "services/command/test_removal",
        "services/test_metrics",
        "services/test_tracing",
    )
)
"""The modules whose tests use `whole_stack`."""
LONGEST = (
    WHOLE_STACK,
    "tests/chaos/test_chaos.py",
    "tests/services/encoders/test_changing.py",
    "tests/services/stack/test_upgrade.py",
    FUZZ,
    "tests/services/stack/test_scale.py",
    "tests/services/stack/test_killed.py",
    "tests/docs/test_own_servers.py",
    "tests/house/test_rules.py",
)


class Grouped(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist publishes no types
    """Sends each group to one worker. (pytest-xdist's own marks for this do nothing under pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def group(nodeid: str) -> str:
    """The group of a test: its module, or what shares a stack with it."""
    module = nodeid.partition("::")[0]
    if module.startswith("tests/fuzz/"):
        return FUZZ
    return WHOLE_STACK if module in STACKED else module


def order(items: MutableSequence[pytest.Item]) -> None:
    """Put the longest groups first."""
    items[:] = sorted(items, key=lambda item: _turn(group(item.nodeid)))


def is_last(item: pytest.Item, following: pytest.Item | None) -> bool:
    """Whether a test is the last one of those that share the whole stack."""
    return group(item.nodeid) == WHOLE_STACK and (following is None or group(following.nodeid) != WHOLE_STACK)


def check(items: Iterable[pytest.Item]) -> None:
    """A test that uses the whole stack must be known as one that does. Raises `pytest.UsageError`."""
    for item in items:
        if "whole_stack" in getattr(item, "fixturenames", ()) and group(item.nodeid) != WHOLE_STACK:
            raise pytest.UsageError(f"{item.nodeid} uses whole_stack: name its module in tests/grouping.py")


def _turn(group: str) -> int:
    return LONGEST.index(group) if group in LONGEST else len(LONGEST)

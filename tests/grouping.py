"""Which tests go to one worker together, and which of these groups are begun first.

A stack of every process costs half a minute of a core to start and some of one to keep: tests that need the same one
go to the same worker. The longest groups come first, so that no worker is left alone with one at the end.
"""

from collections.abc import Iterable, MutableSequence

import pytest

SHARED = {"fuzzed": "fuzz", "whole_stack": "whole stack"}
"""Groups by the fixture that their tests share; other tests stand together by modules."""
LONGEST = (
    "tests/chaos/test_chaos.py",
    "whole stack",
    "fuzz",
    "tests/services/stack/test_scale.py",
    "tests/services/stack/test_killed.py",
    "tests/docs/test_own_servers.py",
    "tests/house/test_rules.py",
)


def group(items: MutableSequence[pytest.Item]) -> None:
    """Put the items in the order in which they are to be begun, each marked with its group."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items[:] = sorted(items, key=lambda item: _turn(_group(item)))


def _group(item: pytest.Item) -> str:
    fixtures: Iterable[str] = getattr(item, "fixturenames", ())
    shared = [name for fixture, name in SHARED.items() if fixture in fixtures]
    return shared[0] if shared else item.nodeid.partition("::")[0]


def _turn(group: str) -> int:
    return LONGEST.index(group) if group in LONGEST else len(LONGEST)

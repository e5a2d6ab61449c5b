"""What `pip install nenrin` brings, and what of all that is installed here it does not."""

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@cache
def foreign() -> frozenset[str]:
    """The top-level modules of packages that the base dependencies don't bring, directly or through others."""
    base = set(_closure(tomllib.loads(PROJECT.read_text())["project"]["dependencies"])) | {"nenrin"}
    owners = metadata.packages_distributions()
    return frozenset(name for name, given in owners.items() if not base & {canonicalize_name(one) for one in given})


def _closure(requirements: Iterable[str]) -> Iterable[str]:
    left, found = [Requirement(each) for each in requirements], set[str]()
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        left += [Requirement(each) for each in metadata.requires(name) or ()]
    return found

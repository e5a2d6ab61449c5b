"""Packages that only some commands need, and what to install for them."""

_FILES = frozenset({"inscriptis", "lxml", "watchfiles"})


def advice(error: ModuleNotFoundError) -> str:
    """What is missing, and how to get it."""
    if error.name in _FILES:
        return f"the package {error.name} is missing: run `make setup`, or install nenrin[files]"
    return f"the package {error.name} is missing: run `make setup`, or install nenrin[servers,encoder,stack]"

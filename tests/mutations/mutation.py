"""A mutation: one small change that breaks one sentence of the promise, and the tests that have to turn red."""

import textwrap
from pathlib import Path

import msgspec


class Rotten(Exception):
    """A mutation no longer fits the code that it was made for."""


class Mutation(msgspec.Struct, frozen=True):
    """Replace `old`, which stands in `file` exactly once, by `new`; then each of `tests` must fail.

    `promise` is the sentence that is broken. A test is named by its file and function; one with parameters has turned
    red when one of them has.
    """

    name: str
    promise: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, checkout: Path) -> None:
        """Change the file in a checkout. Raises `Rotten`."""
        path = checkout / self.file
        path.write_text(self.mutated(path))

    def mutated(self, path: Path) -> str:
        """The file with the change. Raises `Rotten` when there is nothing to replace, or more than one place."""
        source = path.read_text() if path.exists() else ""
        if (found := source.count(self.old)) != 1:
            raise Rotten(
                f"{self.name}: {self.file} has this {found} times, not once, so the mutation no longer says what it "
                f"breaks; write it anew:\n{textwrap.indent(self.old, '    ')}"
            )
        return source.replace(self.old, self.new)

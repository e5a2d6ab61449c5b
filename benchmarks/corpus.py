"""Real text that every Python has: its language reference, and the docstrings of its standard library."""

import ast
import sysconfig
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics


def passages(count: int, words: int = 120) -> list[str]:
    """`count` distinct texts of about `words` words."""
    found = list(islice(dict.fromkeys(_cut(words)), count))
    if len(found) < count:
        raise ValueError(f"this Python's own documentation holds {len(found)} passages of {words} words, not {count}")
    return found


def _cut(words: int) -> Iterator[str]:
    waiting: list[str] = []
    for text in _texts():
        waiting += text.split()
        while len(waiting) >= words:
            yield " ".join(waiting[:words])
            waiting = waiting[words:]


def _texts() -> Iterator[str]:
    yield from topics.values()
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")) + sorted(
        Path(sysconfig.get_paths()["stdlib"]).glob("[a-z]*/*.py")
    ):
        yield from _docstrings(path)


def _docstrings(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return  # the standard library holds files that are broken on purpose, for its own tests
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""

"""Documents from files: which ones, under which ids, with which titles."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from schemas.documents import TITLE_CHARACTERS
from schemas.errors import InvalidInput

SUFFIXES = frozenset({".md", ".markdown", ".rst", ".txt"})
_RULES = frozenset("=-~^\"'`#*+.:_")


class Source(msgspec.Struct, frozen=True):
    """A file, and the id of the document that it becomes."""

    path: Path
    document_id: str


class Draft(msgspec.Struct, frozen=True):
    """A document that is not yet in the log."""

    document_id: str
    text: str
    title: str
    source_uri: str | None = None


def sources(paths: Sequence[Path], here: Path) -> list[Source]:
    """Every text file that `paths` name, in order. Raises `InvalidInput` for what is not there or has the same id."""
    found: dict[str, Path] = {}
    for path in paths:
        for source in _below(path, here):
            other = found.setdefault(source.document_id, source.path)
            if other != source.path:
                raise InvalidInput("PATH", f"{other} and {source.path} would both be document {source.document_id}")
    return [Source(path, document_id) for document_id, path in found.items()]


def _below(path: Path, here: Path) -> Iterator[Source]:
    if path.is_dir():
        for file in sorted(_files(path)):
            yield Source(file.resolve(), _id(file, path, here))
    elif path.is_file():
        yield Source(path.resolve(), _id(path, path, here))
    else:
        raise InvalidInput("PATH", f"{path} is neither a file nor a folder")


def _files(folder: Path) -> Iterable[Path]:
    """The text files below a folder; what is hidden stays so."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and not hidden and path.is_file():
            yield path


def _id(file: Path, named: Path, here: Path) -> str:
    """The path below the current folder; elsewhere the path from the folder, or the file, that was named."""
    file, named = file.absolute(), named.absolute()
    base = here if file.is_relative_to(here) else named.parent
    return file.relative_to(base).as_posix()


def read(source: Source) -> Draft:
    """The document in a file. Raises `InvalidInput` when it is not UTF-8, `OSError` when it cannot be read."""
    try:
        text = source.path.read_bytes().decode()  # as it is: reading text would change its line ends
    except UnicodeDecodeError as error:
        raise InvalidInput("text", f"not UTF-8: byte {error.start}") from error
    return Draft(source.document_id, text, title_of(text) or source.path.stem, source.path.as_uri())


def title_of(text: str) -> str:
    """The first heading, in Markdown or underlined; "" when there is none among the first lines."""
    lines = _after_front_matter(text[:4096]).splitlines()[:30]
    for line, below in pairwise([*lines, ""]):
        if line.startswith("# "):
            return line[2:].strip(" #")[:TITLE_CHARACTERS]
        if line.strip() and len(below) >= 3 and set(below) <= _RULES and len(set(below)) == 1:
            return line.strip()[:TITLE_CHARACTERS]
    return ""


def _after_front_matter(text: str) -> str:
    """Without the block of YAML that many Markdown files begin with."""
    begins = text.startswith("---\n")
    return text.partition("\n---\n")[2] or text if begins else text

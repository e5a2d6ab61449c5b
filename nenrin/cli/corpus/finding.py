"""Which files a command line means, and under which ids."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

import msgspec
from pathspec import GitIgnoreSpec

from nenrin.cli.corpus.formats import Format, format_of
from nenrin.cli.corpus.ignoring import Rules, ignored, rules_above, rules_in
from nenrin.cli.corpus.items import LeftOut
from schemas.errors import InvalidInput

STDIN = Path("-")


class Source(msgspec.Struct, frozen=True):
    """A file to read. `document_id` is its path as users know it, and the id of its document if it holds only one.

    `stamp` is the times of its last modification and of its last change of any kind (an old modification time may be
    set again) in nanoseconds, and its size in bytes, to see later whether it has changed.
    """

    path: Path
    document_id: str
    format: Format = Format.TEXT
    stamp: tuple[int, int, int] = (0, 0, 0)

    @property
    def size(self) -> int:
        """Bytes; 0 where that can't be known before."""
        return self.stamp[2]

    def open(self) -> AbstractContextManager[BinaryIO]:
        """The file's bytes. Raises `OSError`."""
        return nullcontext(sys.stdin.buffer) if self.path == STDIN else self.path.open("rb")


class Wanted(msgspec.Struct, frozen=True):
    """Which files of a folder are meant: those that match `globs`, if there are any, and not `ignore`."""

    globs: GitIgnoreSpec | None = None
    ignore: GitIgnoreSpec | None = None
    format: Format | None = None

    def format_of(self, path: Path, folder: Path) -> Format | None:
        """The form in which to read a file; None when it is not meant."""
        known = format_of(path.name)
        if self.globs is None:
            return known and (self.format or known)
        if not self.globs.match_file(path.relative_to(folder).as_posix()):
            return None
        return self.format or known or Format.TEXT


class Found(msgspec.Struct):
    """The files that are meant, what could not be looked at, and how many files of other kinds there are."""

    sources: dict[str, Source] = {}
    left_out: list[LeftOut] = []
    others: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, source: Source) -> None:
        """Take a file. Raises `InvalidInput` when another one has its id: the second would replace the first."""
        other = self.sources.setdefault(source.document_id, source)
        if other.path != source.path:
            raise InvalidInput("PATH", f"{other.path} and {source.path} would both be document {source.document_id}")


def find(paths: Sequence[Path], here: Path, wanted: Wanted) -> Found:
    """Every file that `paths` name, in order. Raises `InvalidInput` for what is not there, or has another's id."""
    found = Found()
    for named in paths:
        path = Path(os.path.normpath(here / named))
        if path.is_dir():
            _Walk(path, here, wanted, found).walk()
        elif path.exists():  # a file, or what a shell hands over as <(command)
            found.add(_source(path, _id(path, path, here), wanted.format or format_of(path.name) or Format.TEXT))
        else:
            raise InvalidInput("PATH", f"{named} is neither a file nor a folder")
    return found


def _source(path: Path, document_id: str, format: Format) -> Source:
    try:
        about = path.stat()
    except OSError:  # reading it will say why
        return Source(path, document_id, format)
    return Source(path, document_id, format, (about.st_mtime_ns, about.st_ctime_ns, about.st_size))


def _id(file: Path, named: Path, here: Path) -> str:
    """The path below the current folder; elsewhere the path from the folder, or the file, that was named."""
    base = here if file.is_relative_to(here) else named.parent
    return file.relative_to(base).as_posix()


class _Walk:
    """One folder, and all below it. Links to files are followed; links to folders are not, so no loop is endless."""

    def __init__(self, root: Path, here: Path, wanted: Wanted, found: Found) -> None:
        self._root = root
        self._here = here
        self._wanted = wanted
        self._found = found
        self._last = [] if wanted.ignore is None else [Rules(root, wanted.ignore)]

    def walk(self) -> None:
        """Find its files."""
        self._folder(self._root, rules_above(self._root))

    def _folder(self, folder: Path, rules: list[Rules]) -> None:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            rules = rules + rules_in(folder)
        except (OSError, InvalidInput) as error:
            self._found.left_out.append(LeftOut(_id(folder, self._root, self._here), reason(error)))
            return
        for entry in entries:
            path = folder / entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name.startswith(".") or ignored(path, is_folder, [*rules, *self._last]):
                continue
            if is_folder:
                self._folder(path, rules)
            elif _is_file(entry):
                self._file(path)

    def _file(self, path: Path) -> None:
        format = self._wanted.format_of(path, self._root)
        if format is None:
            self._found.others[path.suffix] += 1
        else:
            self._found.add(_source(path, _id(path, self._root, self._here), format))


def _is_file(entry: "os.DirEntry[str]") -> bool:
    """Whether it is to be read as a file: one that can't be looked at is, so that its reason is told."""
    try:
        return S_ISREG(entry.stat().st_mode)
    except OSError:
        return True


def reason(error: Exception) -> str:
    """Why something could not be read, in a line."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)

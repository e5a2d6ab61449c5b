"""What `nenrin add` is told to do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from nenrin.cli.corpus.finding import STDIN, Found, Source, Wanted, find
from nenrin.cli.corpus.formats import Format
from nenrin.cli.corpus.ignoring import spec
from nenrin.cli.corpus.records import Columns
from schemas.documents import check_collection
from schemas.errors import InvalidInput


class Job(msgspec.Struct, frozen=True):
    """What is to be added, and how."""

    paths: list[Path]
    collection: str
    wanted: Wanted = Wanted()
    columns: Columns = Columns()
    document_id: str | None = None
    force: bool = False
    watch: bool = False
    remove_deleted: bool = False
    state: Path | None = None
    as_json: bool = False

    def check(self) -> None:
        """Raise `InvalidInput` for options that don't go together."""
        check_collection(self.collection)
        if self.watch and (others := [path for path in self.paths if not path.is_dir()]):
            raise InvalidInput("--watch", f"takes folders, and {others[0]} is none; --glob picks files in one")
        if self.remove_deleted and not self.watch:
            raise InvalidInput("--remove-deleted", "goes with --watch: only who watches sees a file go")
        if self.document_id is not None and STDIN not in self.paths:
            raise InvalidInput("--id", "goes with -: files have their paths for ids")
        if STDIN in self.paths:
            self._check_stdin()

    def _check_stdin(self) -> None:
        many = self.wanted.format is not None and self.wanted.format.many
        if many and self.document_id is not None:
            raise InvalidInput("--id", f"every document of {self.wanted.format} names its own")
        if not many and self.document_id is None:
            raise InvalidInput("--id", "a text from stdin needs an id; for many documents: --format jsonl, csv or tsv")

    def find(self) -> Found:
        """The files that are meant now."""
        found = find([path for path in self.paths if path != STDIN], Path.cwd(), self.wanted)
        if STDIN in self.paths:
            found.add(Source(STDIN, self.document_id or "stdin", self.wanted.format or Format.TEXT))
        return found


def job(  # noqa: PLR0913  (an option each)
    paths: list[Path],
    collection: str,
    *,
    globs: Sequence[str] | None,
    ignore: Sequence[str] | None,
    form: str | None,
    columns: tuple[str | None, str, str, Sequence[str] | None],
    **rest: Any,
) -> Job:
    """The job that a command line means, as typer hands it over. Raises `InvalidInput` for a pattern that is none."""
    wanted = Wanted(
        spec(globs, "--glob") if globs else None,
        spec(ignore, "--ignore") if ignore else None,
        None if form is None else Format(form),
    )
    document_id, text, title, numbers = columns
    return Job(paths, collection, wanted, Columns(document_id, text, title, tuple(numbers or ())), **rest)

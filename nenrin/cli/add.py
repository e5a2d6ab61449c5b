"""`nenrin add`: files become documents."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nenrin.cli.corpus import Draft, Source, read, sources
from nenrin.cli.endings import Failed
from nenrin.cli.running import find
from nenrin.client import Session
from nenrin.client.errors import Refused
from schemas.documents import check_document_id
from schemas.errors import InvalidInput

WRITERS = 8
"""Requests at a time: each waits for Kafka's disks, and those can take several at once."""


class Left(msgspec.Struct, frozen=True):
    """A file that was not added, and why."""

    path: str
    error: str


def add(paths: list[Path], collection: str, state: Path | None, as_json: bool) -> None:
    """Add every text file that `paths` name. Raises `Failed` when some were left out."""
    found = sources(paths, Path.cwd())
    if not found:
        raise InvalidInput("PATH", "no .md, .markdown, .rst or .txt file there")
    stack = find(state)
    with Session(stack.command, stack.query) as session:
        left = list(_progress(_add_all(session, collection, found), len(found), quiet=as_json))
        token = session.written.token()
    missed = [item for item in left if item is not None]
    added = len(found) - len(missed)
    if as_json:
        print(msgspec.json.encode({"added": added, "left_out": missed, "version": token}).decode())
    else:
        _report(added, missed, token, _where(collection, state))
    if missed:
        raise Failed(f"{len(missed)} of {len(found)} files were not added: {missed[0].path}: {missed[0].error}")


def _add_all(session: Session, collection: str, found: list[Source]) -> Iterator[Left | None]:
    with ThreadPoolExecutor(WRITERS) as pool:
        yield from pool.map(lambda source: _add(session, collection, source), found)


def _add(session: Session, collection: str, source: Source) -> Left | None:
    """Add one file; one that can't be a document is left out, and the others go on."""
    try:
        check_document_id(source.document_id)
        put(session, collection, read(source))
    except (InvalidInput, Refused, OSError) as error:
        return Left(source.document_id, str(error))
    return None


def put(session: Session, collection: str, draft: Draft) -> None:
    """Add one document."""
    session.put(collection, draft.document_id, draft.text, title=draft.title, source_uri=draft.source_uri)


def _progress(steps: Iterable[Left | None], total: int, quiet: bool) -> Iterable[Left | None]:
    bar = Progress(
        TextColumn("adding"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=quiet,
    )
    with bar:
        yield from bar.track(steps, total=total)


def _where(collection: str, state: Path | None) -> str:
    """The options that lead back to the same collection."""
    return f"--collection {collection}" + ("" if state is None else f" --state {state}")


def _report(added: int, missed: list[Left], token: str, where: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for item in missed:
        console.print(f"left out  {item.path}: {item.error}", style="yellow", markup=False)
    console.print(f"{added} documents added. To read them back for sure:")
    console.print(f'  nenrin search "…" {where} --wait 30 --at-least {token}', markup=False)

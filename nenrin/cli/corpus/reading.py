"""What is in a file: its documents, and what of it cannot be one."""

from collections.abc import Iterator
from importlib import import_module
from typing import BinaryIO

from nenrin.cli.corpus import prose, records
from nenrin.cli.corpus.finding import STDIN, Source, reason
from nenrin.cli.corpus.formats import Format
from nenrin.cli.corpus.items import Item, LeftOut, Taken
from nenrin.cli.corpus.records import Columns
from nenrin.cli.extras import advice
from nenrin.client.documents import Draft
from schemas.documents import TEXT_BYTES, DocumentAdded, check
from schemas.errors import InvalidInput

PAGE_BYTES = 16 * 1024 * 1024
"""Of HTML, most of which is not text."""

ANY_COLLECTION = "any"

AS_NAMED = Columns()


def read(source: Source, columns: Columns = AS_NAMED) -> Iterator[Item]:
    """Every document in a file that the log would take, one at a time, and what had to be left out."""
    try:
        with source.open() as file:
            for item in _items(file, source, columns):
                yield _checked(item)
    except (InvalidInput, OSError, ModuleNotFoundError) as error:
        yield LeftOut(source.document_id, _why(error))


def _items(file: BinaryIO, source: Source, columns: Columns) -> Iterator[Item]:
    match source.format:
        case Format.JSONL:
            yield from records.jsonl(file, source.document_id, columns)
        case Format.CSV | Format.TSV:
            yield from records.table(file, source.document_id, columns, source.format)
        case Format.HTML:
            yield _one(source, file, PAGE_BYTES)
        case Format.TEXT:
            yield _one(source, file, TEXT_BYTES)


def _one(source: Source, file: BinaryIO, limit: int) -> Taken:
    raw = file.read(limit + 1)
    if len(raw) > limit:
        size = f", got {source.size:,}" if source.size else ""
        raise InvalidInput("text", f"at most {limit:,} bytes{size}; split the document")
    return Taken(_draft(source, raw), source.document_id, len(raw))


def _draft(source: Source, raw: bytes) -> Draft:
    uri = None if source.path == STDIN else source.path.as_uri()
    if source.format is Format.HTML:
        # only whoever has HTML needs its packages
        draft: Draft = import_module("nenrin.cli.corpus.pages").draft(raw, source.document_id, uri)
        return draft
    return prose.draft(raw, source.document_id, uri)


def _checked(item: Item) -> Item:
    """The item, left out when no service would take it."""
    if isinstance(item, LeftOut):
        return item
    draft = item.draft
    try:
        check(
            DocumentAdded(
                ANY_COLLECTION,
                draft.document_id,
                draft.text,
                draft.title,
                dict(draft.metadata or {}),
                draft.source_uri,
            )
        )
    except InvalidInput as error:
        return LeftOut(item.path, str(error), item.line)
    return item


def _why(error: Exception) -> str:
    return advice(error) if isinstance(error, ModuleNotFoundError) else reason(error)

"""Files that hold a document a line: JSONL, and CSV with names in its first line."""

import csv
import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import msgspec

from nenrin.cli.corpus.formats import Format
from nenrin.cli.corpus.items import Item, LeftOut, Taken
from nenrin.cli.corpus.lines import LINE_BYTES, lines
from nenrin.client.documents import Draft
from schemas.documents import check_characters
from schemas.errors import InvalidInput

IDS = ("document_id", "id")


class Columns(msgspec.Struct, frozen=True):
    """Which members hold what, by their names in the file. What is none of a document's own becomes metadata."""

    id: str | None = None
    text: str = "text"
    title: str = "title"
    numbers: tuple[str, ...] = ()

    def id_in(self, names: Mapping[str, Any]) -> str | None:
        """The member that holds the id."""
        return self.id or next((name for name in IDS if name in names), None)


def jsonl(file: BinaryIO, path: str, columns: Columns) -> Iterator[Item]:
    """The documents of a JSONL file, and the lines that hold none."""
    for number, raw in enumerate(lines(file), 1):
        if not raw.strip():
            continue
        try:
            draft = drafted(_object(raw), columns)
        except InvalidInput as error:
            yield LeftOut(path, str(error), number)
        else:
            yield Taken(draft, path, len(raw), number)


def _object(raw: bytes) -> dict[str, Any]:
    if len(raw) > LINE_BYTES:
        raise InvalidInput("", f"a line has at most {LINE_BYTES:,} bytes")
    try:
        found = json.loads(raw.rstrip().decode(), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise InvalidInput("", f"not UTF-8: byte {error.start} of the line") from error
    except json.JSONDecodeError as error:
        raise InvalidInput("", f"not JSON: {error.msg} at character {error.pos}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput("", f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidInput("", f"a line holds one JSON object, not {type(found).__name__}")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def table(file: BinaryIO, path: str, columns: Columns, format: Format) -> Iterator[Item]:
    """The documents of a CSV or TSV file, and the rows that are none. Raises `InvalidInput` for a file without names.

    Empty cells are absent. Every value is text but those of `columns.numbers`.
    """
    csv.field_size_limit(LINE_BYTES)
    rows = _Rows(file, "\t" if format is Format.TSV else ",")
    names = next(rows, [])
    _check_names(names, columns)
    while True:
        first, before = rows.line + 1, rows.bytes
        try:
            row = next(rows, None)
            if row is None:
                return
            if row:
                yield Taken(_from_row(names, row, columns), path, rows.bytes - before, first)
        except csv.Error as error:
            yield LeftOut(path, f"not CSV ({error}); what follows was not read", first)
            return
        except InvalidInput as error:
            yield LeftOut(path, str(error), first)


class _Rows:
    """The rows of a table, and how far they have been read."""

    def __init__(self, file: BinaryIO, delimiter: str) -> None:
        self.bytes = 0
        self._reader = csv.reader(self._lines(file), delimiter=delimiter, strict=True)

    def __iter__(self) -> "_Rows":
        return self

    def __next__(self) -> list[str]:
        return next(self._reader)

    @property
    def line(self) -> int:
        """The number of the last line read."""
        return self._reader.line_num

    def _lines(self, file: BinaryIO) -> Iterator[str]:
        for raw in lines(file):
            if len(raw) > LINE_BYTES:
                raise csv.Error(f"a line has at most {LINE_BYTES:,} bytes")
            self.bytes += len(raw)
            yield raw.decode(errors="surrogateescape")  # so that what is not UTF-8 costs only its own row


def _check_names(names: list[str], columns: Columns) -> None:
    there = ", ".join(names[:20]) or "none"
    if len(set(names)) < len(names):
        raise InvalidInput("", f"a column is named twice; there are: {there}")
    if columns.id_in(dict.fromkeys(names)) not in names:
        wanted = columns.id or " or ".join(IDS)
        raise InvalidInput("", f"no column {wanted}: name one with --id-column; there are: {there}")
    if columns.text not in names:
        raise InvalidInput("", f"no column {columns.text}: name one with --text-column; there are: {there}")


def _from_row(names: list[str], row: list[str], columns: Columns) -> Draft:
    if len(row) != len(names):
        raise InvalidInput("", f"{len(row)} values where the first line names {len(names)}")
    for name, value in zip(names, row, strict=True):
        _check_utf8(name, value)
    cells: dict[str, Any] = {name: value for name, value in zip(names, row, strict=True) if value}
    return drafted({columns.text: "", **cells}, columns)


def _check_utf8(name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(name, f"not UTF-8: at character {error.start}") from error


def drafted(record: dict[str, Any], columns: Columns) -> Draft:
    """The document that a record holds. Raises `InvalidInput`, naming the member."""
    rest = dict(record)
    document_id = _id(rest, columns)
    if (text := rest.pop(columns.text, None)) is None:
        raise InvalidInput(columns.text, "is missing")
    title, uri = rest.pop(columns.title, None), rest.pop("source_uri", None)
    return Draft(
        document_id,
        _text(columns.text, text),
        title=None if title is None else _text(columns.title, title),
        metadata=_metadata(rest, columns) or None,
        source_uri=None if uri is None else _text("source_uri", uri),
    )


def _id(rest: dict[str, Any], columns: Columns) -> str:
    name = columns.id_in(rest)
    if name is None or (found := rest.pop(name, None)) is None:
        raise InvalidInput(name or IDS[0], "is missing")
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    return _text(name, found)


def _metadata(rest: dict[str, Any], columns: Columns) -> dict[str, Any]:
    given = rest.pop("metadata", None)
    if isinstance(given, str):  # as a table has to hold it
        given = _object(given.encode())
    if given is not None and not isinstance(given, dict):
        raise InvalidInput("metadata", "is not a JSON object")
    numbers = {name: _number(name, rest[name]) for name in columns.numbers if name in rest}
    return rest | numbers | (given or {})


def _number(name: str, value: object) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    try:
        found = json.loads(str(value), parse_constant=_no_number)
    except ValueError:
        found = None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise InvalidInput(name, f"not a number: {str(value)[:40]!a}")
    return found


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput(name, f"is not text, but {type(value).__name__}")
    check_characters(name, value)
    return value

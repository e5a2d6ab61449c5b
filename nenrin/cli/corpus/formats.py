"""The forms of files, and how their names tell them."""

from enum import StrEnum
from pathlib import PurePath


class Format(StrEnum):
    """How a file holds documents: one in all, or one a line."""

    TEXT = "text"
    HTML = "html"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"

    @property
    def many(self) -> bool:
        """Whether one file holds many documents, each with an id of its own."""
        return self in {Format.JSONL, Format.CSV, Format.TSV}


SUFFIXES = {
    ".md": Format.TEXT,
    ".markdown": Format.TEXT,
    ".rst": Format.TEXT,
    ".txt": Format.TEXT,
    ".html": Format.HTML,
    ".htm": Format.HTML,
    ".xhtml": Format.HTML,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
}


def format_of(name: str) -> Format | None:
    """The form that a file's name tells; None for a name that tells none of them."""
    return SUFFIXES.get(PurePath(name).suffix.lower())

"""Passages: pieces of documents with their vectors and lexemes, all that search needs."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import MetaData

from projections.passages import tables
from projections.passages.evolve import evolve, hashes
from projections.port import Entry, Folded, Order

NAME = "passages"


class Passages:
    """The read model of search and of collections: a fold of the derived topic. `language` configures text search."""

    name = NAME
    shape = 1
    order = Order.UPSERT
    tables: tuple[str, ...] = ("documents", "passages")
    tallied = "passages, content_hash, vector_hash"

    def __init__(self, language: str = "english") -> None:
        self._language = language

    def define(self, schema: str, dimensions: int | None) -> MetaData:
        """The tables in a generation's schema, for vectors of `dimensions`."""
        if dimensions is None:
            raise ValueError("passages keep vectors: name the encoder's dimensions")
        return tables.define(schema, dimensions, self._language)

    def columns(self, table: str) -> tuple[str, ...]:
        """The columns of a row that `evolve` makes."""
        return tables.COLUMNS[table]

    def evolve(self, entries: Sequence[Entry]) -> list[Folded]:
        """The fold."""
        return evolve(entries)

    def hashes(self, rows: Mapping[str, Sequence[Sequence[Any]]]) -> tuple[int, int]:
        """The hashes that the fold gave a document and its passages."""
        return hashes(rows["documents"][0], rows["passages"])

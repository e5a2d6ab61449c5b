"""Documents as readers see them: the last event of a document wins."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import MetaData

from projections.documents import tables
from projections.documents.evolve import content_of, evolve
from projections.port import Entry, Folded, Order

NAME = "documents"


class Documents:
    """The read model of `GET /v1/collections/{c}/documents…`: a fold of the source topic itself."""

    name = NAME
    shape = 1
    order = Order.UPSERT
    tables: tuple[str, ...] = ("documents",)
    tallied = "0, content_hash, 0"

    def define(self, schema: str, dimensions: int | None) -> MetaData:
        """The tables in a generation's schema."""
        return tables.define(schema)

    def columns(self, table: str) -> tuple[str, ...]:
        """The columns of a row that `evolve` makes."""
        return tables.COLUMNS

    def evolve(self, entries: Sequence[Entry]) -> list[Folded]:
        """The fold."""
        return evolve(entries)

    def hashes(self, rows: Mapping[str, Sequence[Sequence[Any]]]) -> tuple[int, int]:
        """The hashes that the fold gave a document's row; it has no vectors."""
        return content_of(rows["documents"][0]), 0

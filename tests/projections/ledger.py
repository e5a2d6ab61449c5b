"""A read model whose events add up: every entry of an account is kept, in the order of the log."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text

from projections.digests import hash_of, signed
from projections.generations import tables as common
from projections.generations.lifecycle import Build
from projections.port import Change, Entry, Folded, Order
from schemas.documents import DocumentAdded
from tests.projections.logs import INCARNATION, PARTITIONS, TOPIC

BUILD = Build(TOPIC, PARTITIONS, INCARNATION)
COLUMNS = ("collection", "document_id", "partition", "account", "offset", "text", "content_hash")


class Ledger:
    """One row an event: what was said about a document, never replaced by what is said later."""

    name = "ledger"
    shape = 1
    order = Order.APPEND
    tables: tuple[str, ...] = ("entries",)
    tallied = "0, content_hash, 0"

    def define(self, schema: str, dimensions: int | None) -> MetaData:
        """The tables in a generation's schema."""
        metadata = MetaData(schema=schema)
        common.define(metadata)
        Table(
            "entries",
            metadata,
            Column("collection", Text, primary_key=True),
            Column("document_id", Text, primary_key=True, comment="the account, and the event's offset"),
            Column("partition", Integer, nullable=False),
            Column("account", Text, nullable=False),
            Column("offset", BigInteger, nullable=False),
            Column("text", Text, nullable=False),
            Column("content_hash", BigInteger, nullable=False),
        )
        return metadata

    def columns(self, table: str) -> tuple[str, ...]:
        """The columns of a row that `evolve` makes."""
        return COLUMNS

    def evolve(self, entries: Sequence[Entry]) -> list[Folded]:
        """The fold: every good event is a row of its own."""
        return [_folded(entry, entry.content.event) for entry in entries if isinstance(entry.content, Change)]

    def hashes(self, rows: Mapping[str, Sequence[Sequence[Any]]]) -> tuple[int, int]:
        """The hash that the fold gave an entry."""
        collection, _, account, _, text, _ = rows["entries"][0]
        return hash_of(collection, account, text), 0


def _folded(entry: Entry, event: DocumentAdded) -> Folded:
    offset = entry.place.offset
    entry_id = f"{event.document_id}@{offset}"
    content = hash_of(event.collection, event.document_id, event.text)
    row = (event.collection, entry_id, entry.place.partition, event.document_id, offset, event.text, signed(content))
    return Folded(event.collection, entry_id, {"entries": (row,)}, documents=1, content=content)

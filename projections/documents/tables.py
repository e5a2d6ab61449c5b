"""One row a document."""

from sqlalchemy import JSON, BigInteger, Column, DateTime, Integer, MetaData, Table, Text

from projections.generations import tables as common

COLUMNS = (
    "collection",
    "document_id",
    "topic",
    "partition",
    "offset",
    "title",
    "text",
    "metadata",
    "source_uri",
    "added_at",
    "content_hash",
    "traceparent",
)


def define(schema: str) -> MetaData:
    """The tables of a generation of `documents`."""
    metadata = MetaData(schema=schema)
    common.define(metadata)
    Table(
        "documents",
        metadata,
        # C: the order of lists is that of code points
        Column("collection", Text(collation="C"), primary_key=True),
        Column("document_id", Text(collation="C"), primary_key=True),
        Column("topic", Text, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("offset", BigInteger, nullable=False),
        Column("title", Text),
        Column("text", Text, nullable=False),
        # json, not jsonb: numbers come back as they were written
        Column("metadata", JSON, nullable=False),
        Column("source_uri", Text),
        Column("added_at", DateTime(timezone=True), nullable=False),
        Column("content_hash", BigInteger, nullable=False),
        Column("traceparent", Text, comment="of the event; no part of the content hash"),
    )
    return metadata

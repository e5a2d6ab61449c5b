"""One row a document, for what its passages share and for those that have none; and one row a passage."""

from sqlalchemy import JSON, BigInteger, Column, Computed, Index, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.types import UserDefinedType

from projections.generations import tables as common

COLUMNS = {
    "documents": (
        "collection",
        "document_id",
        "partition",
        "title",
        "metadata",
        "passages",
        "content_hash",
        "vector_hash",
        "traceparent",
    ),
    "passages": ("collection", "document_id", "ordinal", "start", "end", "title", "text", "vector"),
}


class HalfVec(UserDefinedType[bytes]):
    """pgvector's `halfvec`: float16, exactly what the derived topic carries."""

    cache_ok = True

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions

    def get_col_spec(self, **_: object) -> str:
        """The type as DDL."""
        return f"halfvec({self.dimensions})"


def define(schema: str, dimensions: int, language: str) -> MetaData:
    """The tables of a generation of `passages`."""
    metadata = MetaData(schema=schema)
    common.define(metadata)
    Table(
        "documents",
        metadata,
        Column("collection", Text(collation="C"), primary_key=True),
        Column("document_id", Text(collation="C"), primary_key=True),
        Column("partition", Integer, nullable=False),
        Column("title", Text),
        # twice: json gives back the numbers as they were written, jsonb can be searched
        Column("metadata", JSON, nullable=False),
        Column("filterable", JSONB, Computed("metadata::jsonb", persisted=True)),
        Column("passages", Integer, nullable=False),
        Column("content_hash", BigInteger, nullable=False),
        Column("vector_hash", BigInteger, nullable=False),
        Column("traceparent", Text, comment="of the event; no part of the content hash"),
        Index(
            "documents_filterable",
            "filterable",
            postgresql_using="gin",
            postgresql_ops={"filterable": "jsonb_path_ops"},
        ),
    )
    lexemes = f"to_tsvector('{language}'::regconfig, coalesce(title || ' ', '') || text)"
    Table(
        "passages",
        metadata,
        Column("collection", Text(collation="C"), primary_key=True),
        Column("document_id", Text(collation="C"), primary_key=True),
        Column("ordinal", Integer, primary_key=True),
        Column("start", Integer, nullable=False),
        Column("end", Integer, nullable=False),
        Column("title", Text),
        Column("text", Text, nullable=False),
        Column("vector", HalfVec(dimensions), nullable=False),
        Column("lexemes", TSVECTOR, Computed(lexemes, persisted=True)),
        Index("passages_lexemes", "lexemes", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
        Index("passages_vector", "vector", postgresql_using="hnsw", postgresql_ops={"vector": "halfvec_cosine_ops"}),
        # rows stay whole: a text search reads the lexemes of many, and from another table that costs twice as much
        postgresql_with={"toast_tuple_target": "8160"},
    )
    return metadata

"""The tables that every generation has, whatever it projects."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    func,
    text,
)

from projections.port import ReadModel

UNRESOLVED = "resolved_by IS NULL AND skipped_at IS NULL"
"""SQL: whether a parked event waits to be healed, retried or skipped."""


def schema_of(projection: str, generation: int) -> str:
    """The Postgres schema of a generation."""
    return f"{projection}_g{generation}"


def row_tables(model: ReadModel, schema: str, dimensions: int | None) -> list[Table]:
    """The tables of a generation that hold rows; `dimensions` are those of its vectors."""
    metadata = model.define(schema, dimensions)
    return [metadata.tables[f"{schema}.{table}"] for table in model.tables]


def define(metadata: MetaData) -> None:
    """Add the common tables to a generation's metadata."""
    Table(
        "positions",
        metadata,
        Column("topic", Text, primary_key=True),
        Column("partition", Integer, primary_key=True),
        Column("next", BigInteger, nullable=False, comment="the next source offset to apply"),
        Column("read_next", BigInteger, nullable=False, comment="the next offset of the topic that is read"),
        Column("incarnation", Text, nullable=False),
        Column("epoch", BigInteger, nullable=False, comment="the fencing number; 0 while never claimed"),
        Column("backend_pid", Integer),
        Column("backend_start", DateTime(timezone=True)),
        Column("claimed_at", DateTime(timezone=True)),
        Column("committed_at", DateTime(timezone=True)),
        postgresql_with={"fillfactor": "50"},
    )
    Table(
        "digests",
        metadata,
        Column("partition", Integer, primary_key=True),
        Column("collection", Text(collation="C"), primary_key=True),
        Column("documents", BigInteger, nullable=False),
        Column("passages", BigInteger, nullable=False),
        Column("content", Numeric(20, 0), nullable=False, comment="sum of hashes modulo 2^64"),
        Column("vectors", Numeric(20, 0), nullable=False, comment="sum of hashes modulo 2^64"),
        postgresql_with={"fillfactor": "50"},
    )
    parked = Table(
        "parked",
        metadata,
        Column("topic", Text, primary_key=True),
        Column("partition", Integer, primary_key=True),
        Column("offset", BigInteger, primary_key=True),
        Column("key", LargeBinary),
        Column("reason", Text, nullable=False),
        Column("value", LargeBinary),
        Column("headers", LargeBinary, nullable=False, comment="MessagePack: pairs of name and bytes"),
        Column("resolved_by", BigInteger, comment="the offset of the later event of the same key that took its place"),
        Column("skipped_at", DateTime(timezone=True), comment="when an operator gave it up; nenrin.decisions says why"),
        Column("rank", BigInteger, comment="its turn among those of its key, where that isn't its own offset"),
        Column("parked_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    )
    # by hash: a key may be longer than a b-tree entry
    Index("parked_unresolved", func.md5(parked.c.key), postgresql_where=text(UNRESOLVED))

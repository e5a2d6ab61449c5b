"""The tables of the control schema `nenrin`, as Alembic's migrations make them."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Table, Text, func

SCHEMA = "nenrin"
READER = "nenrin_reader"
"""The role that can only select."""
metadata = MetaData(schema=SCHEMA)

projections = Table(
    "projections",
    metadata,
    Column("name", Text, primary_key=True),
    Column("live", Integer, nullable=False, comment="the pointer: promotion is one UPDATE of it"),
    Column("previous", Integer),
)

generations = Table(
    "generations",
    metadata,
    Column("projection", Text, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("encoder", Text, comment="null where no vectors are kept"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)

heads = Table(
    "heads",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("head", BigInteger, nullable=False, comment="the high watermark"),
    Column("incarnation", Text, nullable=False),
    Column("observed_at", DateTime(timezone=True), nullable=False),
    postgresql_with={"fillfactor": "50"},
)

oldest = Table(
    "oldest",
    metadata,
    Column("projection", Text, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("position", BigInteger, nullable=False, comment="the position that the probe saw"),
    Column("produced_at", DateTime(timezone=True), nullable=False, comment="of the first record at or after it"),
    postgresql_with={"fillfactor": "50"},
)

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

decisions = Table(
    "decisions",
    metadata,
    # by what the log knows an event by, so that it holds for every build of the projection
    Column("projection", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("incarnation", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("retried_at", DateTime(timezone=True)),
    Column("retried_by", Text),
    Column("retried_into", Integer, comment="the partition that it was to be appended to"),
    Column("retried_since", BigInteger, comment="where that partition ended before it was appended"),
    Column("retried_as", BigInteger, comment="the offset of the copy; null while it is on its way"),
    Column("skipped_at", DateTime(timezone=True)),
    Column("skipped_by", Text),
    Column("skipped_because", Text),
)
"""What operators decided about events that a projection had parked."""

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

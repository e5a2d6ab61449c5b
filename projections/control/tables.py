"""The tables of the control schema `nenrin`, as Alembic's migrations make them."""

from sqlalchemy import JSON, BigInteger, Column, DateTime, Identity, Integer, MetaData, Table, Text, func

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
    Column("shape", Integer, nullable=False, server_default="1", comment="the version of its tables and of its fold"),
    Column("until", Text, comment="the version token that it ends at; null where it follows the log"),
    Column("loaded_at", DateTime(timezone=True), comment="null while its rows are loaded in bulk: nobody reads it yet"),
    Column("ended_at", DateTime(timezone=True), comment="since when no projector feeds it; null where one does"),
)

encoders = Table(
    "encoders",
    metadata,
    Column("name", Text, primary_key=True),
    Column("settings", JSON, nullable=False, comment="schemas.encoders.Encoder"),
    Column("folder", Text, comment="where its model lies; null where a package carries it"),
    Column("added_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)
"""The encoders that this installation embeds with."""

promotions = Table(
    "promotions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("projection", Text, nullable=False),
    Column("generation", Integer, nullable=False, comment="the one that became live"),
    Column("replaced", Integer, nullable=False, comment="the one that was live"),
    Column("kind", Text, nullable=False, comment="promote, rollback or reset"),
    Column("decided_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("decided_by", Text, nullable=False),
    Column("forced_because", Text, comment="why a failed gate was overruled; null where none was"),
    Column("report", JSON, comment="what the gates found"),
)
"""Every move of a pointer: who moved it, and what was known then."""

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

"""The pointer row, the generations, and what the heads probe observes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SCHEMA = "nenrin"
CLOCK = sa.func.clock_timestamp()


def upgrade() -> None:
    """Create the four tables. Written out, not taken from `tables`: a migration must not change with the code."""
    op.create_table(
        "projections",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("live", sa.Integer, nullable=False, comment="the pointer: promotion is one UPDATE of it"),
        sa.Column("previous", sa.Integer),
        schema=SCHEMA,
    )
    op.create_table(
        "generations",
        sa.Column("projection", sa.Text, primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True),
        sa.Column("encoder", sa.Text, comment="null where no vectors are kept"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=CLOCK),
        schema=SCHEMA,
    )
    op.create_table(
        "heads",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("head", sa.BigInteger, nullable=False, comment="the high watermark"),
        sa.Column("incarnation", sa.Text, nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        schema=SCHEMA,
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "oldest",
        sa.Column("projection", sa.Text, primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True),
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False, comment="the position that the probe saw"),
        sa.Column("produced_at", sa.DateTime(timezone=True), nullable=False, comment="of the first record from it on"),
        schema=SCHEMA,
        postgresql_with={"fillfactor": "50"},
    )

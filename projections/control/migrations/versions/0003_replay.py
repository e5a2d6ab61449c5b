"""What replay needs to know: how far each generation is in its life, the encoders in use, and who moved a pointer."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

SCHEMA = "nenrin"
CLOCK = sa.func.clock_timestamp()
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Generations that are there were never loaded in bulk; only the live ones were fed."""
    op.add_column("generations", sa.Column("shape", sa.Integer, nullable=False, server_default="1"), schema=SCHEMA)
    for name, type_ in (("until", sa.Text), ("loaded_at", TIME), ("ended_at", TIME)):
        op.add_column("generations", sa.Column(name, type_), schema=SCHEMA)
    op.execute(f"""
        UPDATE {SCHEMA}.generations g SET
            loaded_at = g.created_at, ended_at = CASE WHEN p.live <> g.generation THEN clock_timestamp() END
        FROM {SCHEMA}.projections p WHERE p.name = g.projection
    """)
    op.create_table(
        "encoders",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("folder", sa.Text),
        sa.Column("added_at", TIME, nullable=False, server_default=CLOCK),
        schema=SCHEMA,
    )
    op.create_table(
        "promotions",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("projection", sa.Text, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("replaced", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("decided_at", TIME, nullable=False, server_default=CLOCK),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column("forced_because", sa.Text),
        sa.Column("report", sa.JSON),
        schema=SCHEMA,
    )

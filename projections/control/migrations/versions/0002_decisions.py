"""What operators decide about parked events, and the columns of `parked` that show it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = "nenrin"


def upgrade() -> None:
    """Create the table, and bring the generations that are there to the same state as new ones."""
    op.create_table(
        "decisions",
        sa.Column("projection", sa.Text, primary_key=True),
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("incarnation", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("offset", sa.BigInteger, primary_key=True),
        sa.Column("retried_at", sa.DateTime(timezone=True)),
        sa.Column("retried_by", sa.Text),
        sa.Column("retried_into", sa.Integer, comment="the partition that it was to be appended to"),
        sa.Column("retried_since", sa.BigInteger, comment="where that partition ended before it was appended"),
        sa.Column("retried_as", sa.BigInteger, comment="the offset of the copy; null while it is on its way"),
        sa.Column("skipped_at", sa.DateTime(timezone=True)),
        sa.Column("skipped_by", sa.Text),
        sa.Column("skipped_because", sa.Text),
        schema=SCHEMA,
    )
    connection = op.get_bind()
    generations = connection.execute(sa.text(f"SELECT projection, generation FROM {SCHEMA}.generations")).all()
    for projection, generation in generations:
        parked = f"{projection}_g{generation}.parked"
        if connection.execute(sa.text("SELECT to_regclass(:parked)"), {"parked": parked}).scalar() is not None:
            _add_columns(parked)


def _add_columns(parked: str) -> None:
    schema = parked.partition(".")[0]
    op.execute(f"ALTER TABLE {parked} ADD COLUMN skipped_at timestamptz, ADD COLUMN rank bigint")
    op.execute(f"DROP INDEX {schema}.parked_unresolved")
    op.execute(
        f"CREATE INDEX parked_unresolved ON {parked} (md5(key)) WHERE resolved_by IS NULL AND skipped_at IS NULL"
    )

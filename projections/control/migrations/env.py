"""Alembic's environment: it runs on the connection that `install` hands over, never on one of its own."""

from alembic import context

from projections.control.tables import SCHEMA, metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, version_table_schema=SCHEMA, include_schemas=True)
with context.begin_transaction():
    context.run_migrations()

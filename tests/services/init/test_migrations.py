"""A database of an earlier version comes to be like a new one."""

import asyncpg
from sqlalchemy import Connection, inspect
from sqlalchemy.dialects import postgresql

from projections.control import install
from projections.control.install import Wanted
from projections.control.tables import SCHEMA, metadata
from projections.documents import Documents
from projections.generations.lifecycle import Build
from tests.running import Databases

DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
COLUMNS = """
SELECT column_name, data_type, is_nullable FROM information_schema.columns
WHERE table_schema = 'documents_g1' AND table_name = 'parked' ORDER BY 1
"""
INDEX = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'documents_g1' AND indexname = 'parked_unresolved'"


async def test_parked_events_of_an_earlier_version_are_kept(postgres: Databases) -> None:
    """The generations that are there get the columns and the index that decisions need; a dropped one is passed by."""
    wanted = [Wanted(Documents(), Build("documents", 4, "an-incarnation"))]
    await install.install(postgres.owner, wanted)
    connection = await asyncpg.connect(postgres.owner)
    new = await connection.fetch(COLUMNS), await connection.fetchval(INDEX)
    await connection.execute(
        "DROP TABLE nenrin.decisions, nenrin.encoders, nenrin.promotions;"
        "ALTER TABLE nenrin.generations"
        " DROP COLUMN shape, DROP COLUMN until, DROP COLUMN loaded_at, DROP COLUMN ended_at;"
        "UPDATE nenrin.alembic_version SET version_num = '0001';"
        "ALTER TABLE documents_g1.parked DROP COLUMN skipped_at, DROP COLUMN rank;"
        "CREATE INDEX parked_unresolved ON documents_g1.parked (md5(key)) WHERE resolved_by IS NULL;"
        "INSERT INTO documents_g1.parked VALUES ('documents', 0, 7, NULL, 'bad', NULL, '\\x90');"
        "INSERT INTO nenrin.generations (projection, generation) VALUES ('documents', 2)"
    )
    assert "migrate control schema nenrin from 0001 to 0003" in await install.plan(postgres.owner, wanted)
    await install.install(postgres.owner, wanted)
    assert (await connection.fetch(COLUMNS), await connection.fetchval(INDEX)) == new
    assert await connection.fetchval('SELECT skipped_at FROM documents_g1.parked WHERE "offset" = 7') is None
    assert await install.plan(postgres.owner, wanted) == []
    await connection.execute("SET ROLE nenrin_reader")
    assert await connection.fetchval("SELECT count(*) FROM nenrin.decisions") == 0
    await connection.close()


async def test_generations_of_an_earlier_version_are_fed_or_ended(postgres: Databases) -> None:
    """From 0002, with data: what was live goes on, what a reset had replaced has ended, and decisions are kept."""
    wanted = [Wanted(Documents(), Build("documents", 4, "an-incarnation"))]
    await install.install(postgres.owner, wanted)
    connection = await asyncpg.connect(postgres.owner)
    await connection.execute(
        "DROP TABLE nenrin.encoders, nenrin.promotions;"
        "ALTER TABLE nenrin.generations"
        " DROP COLUMN shape, DROP COLUMN until, DROP COLUMN loaded_at, DROP COLUMN ended_at;"
        "UPDATE nenrin.alembic_version SET version_num = '0002';"
        "INSERT INTO nenrin.generations (projection, generation) VALUES ('documents', 2);"
        "UPDATE nenrin.projections SET live = 2, previous = 1;"
        'INSERT INTO nenrin.decisions (projection, topic, incarnation, partition, "offset", skipped_by)'
        " VALUES ('documents', 'documents', 'an-incarnation', 0, 7, 'ana')"
    )
    assert await install.plan(postgres.owner, wanted) == ["migrate control schema nenrin from 0002 to 0003"]
    await install.install(postgres.owner, wanted)
    rows = await connection.fetch(
        "SELECT generation, shape, until, loaded_at = created_at, ended_at IS NULL FROM nenrin.generations ORDER BY 1"
    )
    assert [tuple(row) for row in rows] == [(1, 1, None, True, False), (2, 1, None, True, True)]
    assert await connection.fetchval("SELECT skipped_by FROM nenrin.decisions") == "ana"
    assert await install.plan(postgres.owner, wanted) == []
    await connection.close()


async def test_the_tables_are_what_the_migrations_make(postgres: Databases) -> None:
    """The definitions that statements are built from, and the database, have the same tables, columns and keys."""
    defined = {
        table.name: {
            column.name: (str(column.type.compile(DIALECT)), column.nullable, column.primary_key)
            for column in table.columns
        }
        for table in metadata.tables.values()
    }
    async with install.administration(postgres.owner) as connection:
        assert await connection.run_sync(_made) == defined


def _made(connection: Connection) -> dict[str, dict[str, tuple[str, bool, bool]]]:
    there = inspect(connection)
    keys = {
        name: there.get_pk_constraint(name, SCHEMA)["constrained_columns"] for name in there.get_table_names(SCHEMA)
    }
    return {
        name: {
            column["name"]: (
                str(column["type"].compile(DIALECT)),
                column["nullable"],
                column["name"] in key,
            )
            for column in there.get_columns(name, SCHEMA)
        }
        for name, key in keys.items()
        if name != "alembic_version"
    }

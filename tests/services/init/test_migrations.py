"""A database of an earlier version comes to be like a new one."""

import asyncpg

from projections.control import install
from projections.control.install import Wanted
from projections.documents import Documents
from projections.generations.lifecycle import Build
from tests.running import Databases

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

"""An older Nenrin that meets the control schema of a later one refuses, in one clear line, and writes nothing."""

import asyncio
import sys
from collections.abc import Sequence

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from projections.control import install, revision
from projections.database import connect
from projections.documents import Documents
from projections.generations.lifecycle import Build
from projections.writer import Writer
from schemas.errors import NewerSchema
from services.settings import Settings
from services.stack.ports import free_ports
from tests.running import Databases, environment, execute

LATER = "UPDATE nenrin.alembic_version SET version_num = '9999'"
COMMANDS = [
    ["projector"],
    ["heads"],
    ["query"],
    ["init"],
    ["doctor"],
]
"""Whatever connects to Postgres."""


def test_every_migration_is_known() -> None:
    """Whoever adds a migration adds its revision to the list."""
    config = Config()
    config.set_main_option("script_location", str(install.MIGRATIONS))
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert tuple(script.revision for script in scripts)[::-1] == revision.REVISIONS


@pytest.fixture
def later(installed: Settings) -> Settings:
    """An installation that a later version has migrated."""
    execute(installed.dsn, LATER)
    return installed


async def said_by(settings: Settings, arguments: Sequence[str], port: int) -> tuple[int, str]:
    """How a command ends, and what it says."""
    told = {
        "NENRIN_PORT": str(port),
        "NENRIN_METRICS_PORT": str(port),
        "NENRIN_KAFKA": settings.kafka,
        "NENRIN_POSTGRES": settings.dsn,
        "NENRIN_POSTGRES_READER": settings.reader_dsn,
        "NENRIN_PARTITIONS": str(settings.partitions),
        "NENRIN_TOPIC_PREFIX": settings.topic_prefix,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "nenrin", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment(told) | {"COLUMNS": "1000"},
    )
    try:
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_every_process_and_tool_refuses(later: Settings) -> None:
    """All of them end by themselves, not with status 0, and say why; the schema is as it was."""
    ends = await asyncio.gather(
        *(said_by(later, command, port) for command, port in zip(COMMANDS, free_ports(), strict=False))
    )
    for command, (status, said) in zip(COMMANDS, ends, strict=True):
        assert status != 0, (command, said)
        lines = [line for line in said.splitlines() if "a later version of Nenrin" in line and "9999" in line]
        assert len(lines) == 1, (command, said)
        assert "Traceback" not in said, (command, said)
    assert await _revision(later) == "9999"


async def _revision(settings: Settings) -> str | None:
    here, _ = await install.revisions(settings.dsn)
    return here


async def test_a_projector_that_runs_meanwhile_ends(installed: Settings) -> None:
    """It looks every second, and what it finds then is said in the same line."""
    saying = asyncio.create_task(said_by(installed, ["projector"], next(free_ports())))
    connection = await connect(installed.dsn, application="a test")
    while not await connection.fetchval("SELECT min(epoch) FROM documents_g1.positions"):  # all are claimed then
        assert not saying.done(), saying.result()
    await connection.execute(LATER)
    status, said = await saying
    assert status != 0
    assert "a later version of Nenrin has brought the control schema to revision 9999" in said
    connection.terminate()


async def test_a_writer_that_is_at_work_can_claim_no_more(postgres: Databases) -> None:
    """Its next connection refuses, so no partition becomes its own, and no row is written."""
    await install.install(postgres.owner, [install.Wanted(Documents(), Build("documents", 4, "topic-id"))])
    writer = Writer(Documents(), 1, postgres.owner)
    await writer.claim("documents", [0], "topic-id", 4)
    connection = await connect(postgres.owner, application="a test")
    await connection.execute(LATER)
    with pytest.raises(NewerSchema, match="9999"):
        await writer.claim("documents", [0, 1], "topic-id", 4)
    assert [
        row[0] for row in await connection.fetch("SELECT epoch FROM documents_g1.positions ORDER BY partition")
    ] == [
        1,
        0,
        0,
        0,
    ]
    connection.terminate()
    with pytest.raises(NewerSchema, match="9999"):
        await connect(postgres.owner, application="a test")

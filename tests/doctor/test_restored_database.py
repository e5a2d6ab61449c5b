"""A database restored from yesterday's backup: it simply catches up, and says how far it is until then."""

import asyncio
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from projections.generations.read import nothing
from projections.lag import State
from projections.reading import Answer, Reader
from schemas.versions import shortfall
from services.heads import app as heads
from services.heads.metrics import Metrics
from services.settings import Settings
from services.stack.postgres import Passwords, Postgres
from tests.doctor.accidents import Log
from tests.doctor.conftest import PATIENCE, Database, Projector
from tests.doctor.operating import FIRST, SECOND, applied, problems
from tests.running import execute, with_database
from web.registry import Registry


def tool(name: str, *arguments: str) -> None:
    """Run one of Postgres' own programs."""
    programs = Postgres.installed(Path(), 0, Passwords("", "")).programs
    done = subprocess.run([programs / name, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def restore(settings: Settings, backup: Path) -> None:
    """Replace the database by its backup, under whoever is connected."""
    name = urlsplit(settings.dsn).path.removeprefix("/")
    server = with_database(settings.dsn, "postgres")
    execute(server, f"DROP DATABASE {name} WITH (FORCE)")
    execute(server, f"CREATE DATABASE {name}")
    tool("pg_restore", "--single-transaction", f"--dbname={settings.dsn}", str(backup))


async def answer(reader: Reader, projection: str) -> Answer:
    """How a projection stands."""
    return await reader.read(projection, lambda _: nothing())


async def until_live(reader: Reader, projection: str) -> Answer:
    """Wait until nothing is left to apply."""
    async with asyncio.timeout(PATIENCE):
        while (found := await answer(reader, projection)).lag.events != 0:  # noqa: ASYNC110  # as a reader would ask
            await asyncio.sleep(0.05)
    return found


async def test_both_projections_catch_up(
    log: Log, database: Database, projector: Projector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, positions and heads go back together; what was written since is applied again, and tokens then hold."""
    settings, backup = log.settings, tmp_path / "yesterday"
    monkeypatch.setattr("eventlog.ending.end_process", projector.ended)
    await applied(log, database, projector)
    async with Reader(settings.reader_dsn).reading() as reader:
        probing = asyncio.create_task(heads._observe(settings, Metrics(Registry())))
        await until_live(reader, "documents")
        probing.cancel()
    await database.connection.execute("UPDATE nenrin.heads SET observed_at = observed_at - interval '1 day'")
    await asyncio.to_thread(tool, "pg_dump", "--format=custom", f"--file={backup}", settings.dsn)
    probing = asyncio.create_task(heads._observe(settings, Metrics(Registry())))
    log.add(*SECOND)
    await asyncio.to_thread(log.embed, dict.fromkeys(range(4), 0))
    await database.until_applied(52, "documents_g1", "passages_g1")
    async with Reader(settings.reader_dsn).reading() as reader:
        token = (await until_live(reader, "documents")).version

    await asyncio.to_thread(restore, settings, backup)
    async with Reader(settings.reader_dsn).reading() as reader:
        first = await answer(reader, "documents")
        assert first.lag.events != 0 or not shortfall(token, first.version)
        for projection in ("documents", "passages"):
            caught_up = await until_live(reader, projection)
            assert caught_up.lag.state is State.LIVE
            assert not shortfall(token, caught_up.version)
    restored = Database(await projector.connection())
    assert await restored.documents() == set(FIRST + SECOND) == await restored.documents("passages_g1")
    assert set(projector.notes.values()) == {"going on"}
    assert not any("positions" in what for what in await problems(settings))
    probing.cancel()

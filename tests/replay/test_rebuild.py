"""A rebuild: built from the log beside the live generation, proven, and put in its place."""

import asyncio
import json
import os
import signal
from datetime import UTC, datetime

import asyncpg
import pytest
from pydantic import SecretStr

from projections.database import connect
from projections.generations.holding import holding
from schemas.errors import DatabaseAway, InvalidInput
from services.replay.progress import Phase, Silent
from services.replay.rebuilding import rebuild
from tests.replay.commands import Command, run
from tests.replay.conftest import World
from tests.running import Running, execute, with_database


class Told(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        """Keep a line."""
        self.lines.append(line)


@pytest.mark.parametrize("projection", ["documents", "passages"])
async def test_a_rebuild_equals_live_which_goes_on(world: World, projection: str) -> None:
    """Documents are written and removed all the while: at one version rows, digests and parked events are live's."""
    world.history(200)
    await world.embed()
    await world.follow(projection)
    async with world.writing(projection):
        report = await rebuild(world.settings, projection, by="a test")
    assert (report.generation, report.promoted) == (2, True), report
    assert {gate.name: gate.outcome for gate in report.gates}["content digest"] == "passed"
    assert await world.connection.fetchval("SELECT live FROM nenrin.projections WHERE name = $1", projection) == 2
    if projection == "passages":
        await world.embed()
    await world.follow(projection, 1)
    await world.follow(projection, 2)
    assert await world.digest(projection, 2) == await world.digest(projection, 1)
    assert await world.rows(projection, 2) == await world.rows(projection, 1)
    assert await world.parked(projection, 2) == await world.parked(projection, 1) != set()
    if projection == "documents":
        await world.agrees(2)


async def test_an_empty_log_is_rebuilt_too(world: World) -> None:
    """Nothing to load, nothing that differs: it is promoted, at the version of nothing."""
    report = await rebuild(world.settings, "passages", by="a test")
    assert (report.generation, report.promoted, report.rows) == (2, True, 0)


async def test_the_command_prints_a_report(world: World) -> None:
    """--json: the generation at its top, phases, gates; nothing but that on stdout. `list` then shows both."""
    world.history(20)
    await world.follow("documents")
    status, out, err = await asyncio.to_thread(
        run, world.settings, "projections", "rebuild", "documents", "--no-promote", "--json"
    )
    assert status == 0, err
    report = json.loads(out)
    assert next(iter(report)) == "generation"
    assert (report["generation"], report["projection"], report["promoted"]) == (2, "documents", False)
    assert {"loading", "logging", "indexing", "gates"} <= report["seconds"].keys()
    assert {gate["name"] for gate in report["gates"]} >= {"content digest", "parked", "counts"}
    assert "`nenrin projections promote documents --generation 2` makes it live" in err
    status, out, err = await asyncio.to_thread(run, world.settings, "projections", "list", "--json")
    documents = next(each for each in json.loads(out) if each["name"] == "documents")
    assert (documents["live"], documents["previous"]) == (1, None)
    assert [(each["generation"], each["lifecycle"]) for each in documents["generations"]] == [
        (1, "live"),
        (2, "building"),
    ]
    again = await rebuild(world.settings, "documents", by="a test")
    assert (again.generation, again.promoted) == (2, True), "a candidate that is built is not built twice"


async def test_a_second_one_is_told_who_holds_it(world: World) -> None:
    """One at a time replays in a database: the other command ends with 1, and names the holder."""
    async with holding(world.settings.dsn, "rebuild of passages by ana, pid 7 on elsewhere"):
        status, out, err = await asyncio.to_thread(run, world.settings, "projections", "rebuild", "documents")
    assert (status, out) == (1, "")
    assert "rebuild of passages by ana, pid 7 on elsewhere" in err


async def test_bad_input_is_refused_before_anything_is_written(world: World) -> None:
    """A projection that there is none of, vectors for documents, force without a promotion."""
    for name, rest in (
        ("nothing", {}),
        ("documents", {"encoder": "another"}),
        ("documents", {"promote": False, "forced_because": "so"}),
    ):
        with pytest.raises(InvalidInput):
            await rebuild(world.settings, name, by="a test", **rest)
    assert await world.connection.fetchval("SELECT count(*) FROM nenrin.generations") == 2


async def test_leftovers_of_another_kind_are_dropped(world: World) -> None:
    """What a killed `--until` left half built is no beginning of a whole rebuild: it goes, and that is said."""
    world.history(50)
    await world.follow("documents")
    command = Command(world.settings, "projections", "rebuild", "documents", "--until", datetime.now(UTC).isoformat())
    assert await asyncio.to_thread(command.until, f"{Phase.LOADING.value} …")
    await asyncio.to_thread(command.kill)
    told = Told()
    await world.connection.execute("UPDATE nenrin.generations SET loaded_at = NULL WHERE generation = 2")
    report = await rebuild(world.settings, "documents", by="a test", progress=told)
    assert any("documents_g2 was left by a rebuild of another kind" in line for line in told.lines)
    assert report.promoted
    assert report.generation != 1
    schemas = await world.connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'documents_g%'")
    assert {row[0] for row in schemas} == {"documents_g1", f"documents_g{report.generation}"}


async def test_postgres_is_killed_in_the_middle(world: World, servers: Running) -> None:
    """What was loaded is lost with it, the rebuild waits until it is back, begins anew, and ends well."""
    world.history(1500)
    await world.follow("documents")
    rows = await world.rows("documents", 1)
    command = Command(world.settings, "projections", "rebuild", "documents", "--json")
    assert await asyncio.to_thread(command.until, f"{Phase.LOADING.value} …")
    os.kill(servers.pids["postgres"], signal.SIGKILL)
    status, out = await asyncio.to_thread(command.end)
    assert status == 0, command.said
    assert "trying again" in command.said
    assert json.loads(out)["promoted"]
    world.connection.terminate()
    world.connection = await _until_it_answers(world.settings.dsn)
    assert await world.rows("documents", 2) == rows


async def _until_it_answers(dsn: str) -> asyncpg.Connection:
    while True:
        try:
            return await connect(dsn, application="a test")
        except DatabaseAway:
            await asyncio.sleep(0.1)


async def test_it_is_built_in_another_database(world: World, servers: Running) -> None:
    """From the log alone: an empty database gets the control schema and the read model; the next one is gated."""
    world.history(60)
    await world.embed()
    await world.follow("passages")
    name = f"elsewhere_{world.settings.topic_prefix.strip('.')}"
    there = with_database(world.settings.dsn, name)
    await asyncio.to_thread(execute, servers.endpoints["postgres"], f"CREATE DATABASE {name}")
    try:
        away = world.settings.model_copy(update={"postgres": SecretStr("postgresql://127.0.0.1:1/none")})
        report = await rebuild(away, "passages", by="a test", postgres=there)
        assert (report.generation, report.promoted) == (1, True)
        again = await rebuild(world.settings, "passages", by="a test", postgres=there)
        assert (again.generation, again.promoted) == (2, True)
        world.connection, here = await connect(there, application="a test"), world.connection
        digest, rows = await world.digest("passages", 2), await world.rows("passages", 2)
        await world.connection.close()
        world.connection = here
    finally:
        await asyncio.to_thread(execute, servers.endpoints["postgres"], f"DROP DATABASE {name} WITH (FORCE)")
    assert digest == await world.digest("passages", 1)
    assert rows == await world.rows("passages", 1)
    assert await world.connection.fetchval("SELECT count(*) FROM nenrin.generations") == 2

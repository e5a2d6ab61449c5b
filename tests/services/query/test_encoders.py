"""Which encoders the service holds: those that a generation, or the next one, is asked with, and no others."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from projections.control.install import install
from projections.encoders import Registered, register
from projections.reading import Reader
from schemas.encoders import MINILM
from services.query import encoders as holding
from services.query.encoders import QueryEncoders
from tests.running import Databases
from tests.services.query.conftest import WANTED, LettersEncoder

SMALL = replace(MINILM, model="small", dimensions=8)
GENERATION = """
INSERT INTO nenrin.generations (projection, generation, encoder, loaded_at)
VALUES ('passages', $1, $2, CASE WHEN $3 THEN clock_timestamp() END)
"""


class Letters(LettersEncoder):
    """One of several: it remembers whether it was retired."""

    retired = False
    broken: BaseException | None = None

    @property
    def failure(self) -> BaseException | None:
        """As told."""
        return self.broken

    def retire(self) -> None:
        """Note it."""
        self.retired = True


class Held:
    """The encoders of a service, and all that were ever made for it."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.made: list[tuple[Registered, Letters]] = []
        self.encoders = QueryEncoders(lambda registered, seconds: self.make(registered))

    def make(self, registered: Registered) -> Letters:
        """Without a model."""
        self.made.append((registered, Letters(registered.encoder)))
        return self.made[-1][1]

    async def look(self) -> dict[str, str]:
        """What the service has after a look."""
        await self.encoders.look(self.reader)
        return self.encoders.states()


@pytest.fixture
async def owner(postgres: Databases) -> AsyncIterator[asyncpg.Connection]:
    """An installed database; its passages are by the default encoder."""
    await install(postgres.owner, WANTED)
    connection = await asyncpg.connect(postgres.owner)
    yield connection
    await connection.close()


@pytest.fixture
async def held(owner: asyncpg.Connection, postgres: Databases) -> AsyncIterator[Held]:
    """The encoders of a service that has just begun."""
    async with Reader(postgres.reader).reading() as reader:
        held = Held(reader)
        held.encoders.start()
        yield held
        held.encoders.close()


async def test_an_encoder_is_loaded_before_anything_is_made_with_it(
    held: Held, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """When it is added, from its folder; it stays while a generation is loaded, followed, live; then it goes."""
    assert await held.look() == {MINILM.name: "ready"}
    await register(owner, SMALL, tmp_path)
    both = {MINILM.name: "ready", SMALL.name: "ready"}
    assert await held.look() == both
    assert [(each.encoder, each.folder) for each, _ in held.made] == [(MINILM, None), (SMALL, tmp_path)]
    await owner.execute(GENERATION, 2, SMALL.name, False)
    assert await held.look() == both
    await owner.execute("UPDATE nenrin.generations SET loaded_at = clock_timestamp() WHERE generation = 2")
    await owner.execute("UPDATE nenrin.projections SET live = 2, previous = 1 WHERE name = 'passages'")
    assert await held.look() == both
    await owner.execute("DELETE FROM nenrin.generations WHERE projection = 'passages' AND generation = 1")
    assert await held.look() == {SMALL.name: "ready"}
    assert [encoder.retired for _, encoder in held.made] == [True, False]


async def test_one_that_was_added_long_ago_and_is_used_no_more_is_not_held(
    held: Held, owner: asyncpg.Connection
) -> None:
    """Memory is for those that somebody may ask: the generations there are, and the one that comes next."""
    await register(owner, SMALL, None)
    await owner.execute(GENERATION, 2, SMALL.name, True)
    assert set(await held.look()) == {MINILM.name, SMALL.name}
    await owner.execute(GENERATION, 3, MINILM.name, True)
    await owner.execute("DELETE FROM nenrin.generations WHERE projection = 'passages' AND generation = 2")
    assert set(await held.look()) == {MINILM.name}


async def test_one_that_nobody_knows_is_said(held: Held, owner: asyncpg.Connection) -> None:
    """And the others go on; once it is added it is loaded."""
    await owner.execute(GENERATION, 2, SMALL.name, True)
    states = await held.look()
    assert states[MINILM.name] == "ready"
    assert "nenrin encoders add" in states[SMALL.name]
    assert held.encoders.unknown(SMALL.name)
    await register(owner, SMALL, None)
    assert await held.look() == {MINILM.name: "ready", SMALL.name: "ready"}
    assert not held.encoders.unknown(SMALL.name)


async def test_one_that_could_not_be_loaded_is_tried_again(
    held: Held, owner: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder may be elsewhere by now, and is then looked up anew; not at once, for a try costs seconds."""
    await register(owner, SMALL, tmp_path)
    await held.look()
    broken = held.made[-1][1]
    broken.broken, broken.loaded = FileNotFoundError("no such folder"), False
    assert (await held.look())[SMALL.name] == "could not be loaded: no such folder"
    await register(owner, SMALL, tmp_path / "elsewhere")
    monkeypatch.setattr(holding, "AGAIN_AFTER", 0.0)
    assert (await held.look())[SMALL.name] == "ready"
    assert held.made[-1][0].folder == tmp_path / "elsewhere"
    assert broken.retired


async def test_metrics_tell_which_are_ready(held: Held, owner: asyncpg.Connection) -> None:
    """One sample for each, gone with it."""
    registry = CollectorRegistry()
    registry.register(held.encoders)
    await owner.execute(GENERATION, 2, SMALL.name, True)
    await register(owner, SMALL, None)
    await held.look()
    held.made[-1][1].loaded = False
    assert samples(registry) == {MINILM.name: 1.0, SMALL.name: 0.0}
    await owner.execute("DELETE FROM nenrin.encoders")
    await owner.execute("DELETE FROM nenrin.generations WHERE encoder = $1", SMALL.name)
    await held.look()
    assert samples(registry) == {MINILM.name: 1.0}


def samples(registry: CollectorRegistry) -> dict[str, float]:
    """Whether each is ready."""
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in lines}

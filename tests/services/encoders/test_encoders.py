"""Adding, watching and removing an encoder on a real Kafka and a real Postgres; an embedder's twin writes vectors."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from encoders.folder import UnusableModel
from encoders.reading import Cut
from eventlog.topics import Topics
from projections.database import connect
from projections.encoders import find
from schemas.encoders import MINILM, Encoder
from schemas.errors import EncoderMissing, InvalidInput
from schemas.topics import derived
from services.encoders import Added, StillUsed, add, covering, listed, remove, until_covered
from services.settings import Settings
from tests.doctor.accidents import Log
from tests.encoders.models import settings as model_in

DOCUMENT_IDS = tuple(f"document-{number}" for number in range(24))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of a model; whether it can be computed is not of interest here."""
    return model_in(tmp_path / "second")


@pytest.fixture
def proved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which encoders were tried: each in a process of its own that imports torch, if this were not instead."""
    names: list[str] = []

    async def prove(encoder: Encoder, _: Path, __: str) -> None:
        names.append(encoder.name)

    monkeypatch.setattr("services.encoders.adding._prove", prove)
    return names


async def added(settings: Settings, model: Path, cut: Cut | None = None) -> Added:
    """Add the model."""
    return await add(settings, str(model), cut or Cut(), lambda _: None)


async def topics_of(settings: Settings, name: str) -> int:
    """How many partitions an encoder's topic has; 0 if there is none."""
    found = await Topics(settings.kafka_settings()).there([derived(name)])
    return found[derived(name)].partitions if found else 0


async def make_generation(settings: Settings, encoder: str) -> None:
    """Have a generation use an encoder."""
    connection = await asyncpg.connect(settings.dsn)
    await connection.execute(
        "INSERT INTO nenrin.generations (projection, generation, encoder) VALUES ('passages', 2, $1)", encoder
    )
    await connection.close()


async def test_an_addition_can_be_repeated(installed: Settings, model: Path, proved: list[str]) -> None:
    """Its topic has the source's partitions, its row the folder; the second time nothing is tried or made."""
    first = await added(installed, model)
    assert await added(installed.model_copy(update={"partitions": 7}), model) == first
    assert proved == [first.encoder.name]
    assert await topics_of(installed, first.encoder.name) == 4
    connection = await connect(installed.dsn, application="test")
    found = await find(connection, first.encoder.name)
    await connection.close()
    assert (found.encoder, found.folder, first.is_live) == (first.encoder, model, False)
    assert (await added(installed, model, Cut(passage=50))).topic != first.topic


async def test_what_can_t_be_used_changes_nothing(
    installed: Settings, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that can't be computed, or a cut that doesn't fit it, leaves neither a row nor a topic."""
    name = ""

    async def refuse(encoder: Encoder, _: Path, __: str) -> None:
        nonlocal name
        name = encoder.name
        raise UnusableModel("no vectors of use")

    monkeypatch.setattr("services.encoders.adding._prove", refuse)
    with pytest.raises(UnusableModel):
        await added(installed, model)
    with pytest.raises(InvalidInput):
        await added(installed, model, Cut(passage=5000))
    assert await topics_of(installed, name) == 0
    assert [each.name for each in await listed(installed)] == [MINILM.name]


async def test_waiting_ends_when_everything_has_its_vectors(
    installed: Settings, model: Path, proved: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing happens while there is no embedder, which is said with what to run; progress is counted in records."""
    monkeypatch.setattr(covering, "SILENT_AFTER", 0.0)
    monkeypatch.setattr(covering, "LOOK_EVERY", 0.05)
    log, name = Log(installed), (await added(installed, model)).encoder.name
    await asyncio.to_thread(log.add, *DOCUMENT_IDS)
    seen: list[tuple[int, int]] = []
    said: asyncio.Queue[str] = asyncio.Queue()
    waiting = asyncio.create_task(until_covered(installed, name, lambda *counts: seen.append(counts), said.put_nowait))
    assert f"NENRIN_ENCODER={name}" in await said.get()
    assert not waiting.done()
    await asyncio.to_thread(log.embed, encoder=name)
    await waiting
    assert (seen[0], seen[-1]) == ((0, 24), (24, 24))
    (found,) = [each for each in await listed(installed) if each.name == name]
    assert (found.covered, found.records, found.generations) == (24, 24, ())
    assert proved == [name]


async def test_an_encoder_in_use_can_t_be_removed(installed: Settings, model: Path, proved: list[str]) -> None:
    """The generation is named, with what to do first; when it has ended, row and topic go."""
    name = (await added(installed, model)).encoder.name
    await make_generation(installed, name)
    with pytest.raises(StillUsed, match="nenrin projections retire passages 2"):
        await remove(installed, name, delete_topic=True, say=print)
    with pytest.raises(StillUsed, match=r"passages generation 1 uses .*, and is live"):
        await remove(installed, MINILM.name, delete_topic=True, say=print)
    connection = await asyncpg.connect(installed.dsn)
    await connection.execute("UPDATE nenrin.generations SET ended_at = now() WHERE generation = 2")
    await connection.close()
    await remove(installed, name, delete_topic=True, say=print)
    assert await topics_of(installed, name) == 0
    assert await topics_of(installed, MINILM.name) == 4
    with pytest.raises(EncoderMissing):
        await remove(installed, name, delete_topic=True, say=print)
    assert proved == [name]

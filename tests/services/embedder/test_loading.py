"""What an embedder does while its encoder can't be had: it lives, says why, and looks again."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from projections.encoders import register
from schemas.encoders import MINILM
from services.embedder import loading
from services.embedder.loading import Loading, vector_cache
from services.settings import Settings
from tests.running import Databases

CUT_OTHERWISE = replace(MINILM, chunker=MINILM.chunker + 1)


async def note_with(waiting: Loading, words: str) -> None:
    """Wait until it says so."""
    async with asyncio.timeout(60):
        while words not in waiting.note:  # noqa: ASYNC110  # it tells readers, who come when they like
            await asyncio.sleep(0.01)


async def test_an_encoder_that_is_not_there_is_waited_for(postgres: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Postgres may be away, its row may come yet, and a row of another version is none that this one can go by."""
    monkeypatch.setattr(loading, "AGAIN_AFTER", 0.02)
    away = Loading(Settings(postgres=SecretStr("postgresql://127.0.0.1:1/none")), CUT_OTHERWISE.name)
    here = Loading(Settings(postgres=SecretStr(postgres.owner)), CUT_OTHERWISE.name)
    tasks = [asyncio.create_task(each.load(ThreadPoolExecutor)) for each in (away, here)]
    await note_with(away, "waiting: Postgres")
    await note_with(here, f"waiting: there is no encoder '{CUT_OTHERWISE.name}' here")
    connection = await asyncpg.connect(postgres.owner)
    await register(connection, CUT_OTHERWISE, None)
    await connection.close()
    await note_with(here, "cuts texts by rules 3, this version of Nenrin by 2")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_each_network_remembers_its_vectors_in_a_file_of_its_own(tmp_path: Path) -> None:
    """Another cut of the same network shares it: what it cuts alike is known already."""
    settings = Settings(state=tmp_path)
    for encoder in (MINILM, replace(MINILM, passage=100), replace(MINILM, revision="another")):
        cache = vector_cache(settings, encoder)
        assert cache is not None
        cache.close()
    assert {path.name for path in tmp_path.glob("*.sqlite")} == {"vectors.sqlite", "vectors-another-mean.sqlite"}
    assert vector_cache(settings.model_copy(update={"vector_cache": 0}), MINILM) is None

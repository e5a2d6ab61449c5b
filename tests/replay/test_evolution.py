"""An upgrade: a later version of Nenrin replays what earlier ones wrote, and gives a read model another shape."""

import json
from functools import partial
from typing import Any

import pytest

from projections.documents import Documents
from projections.generations.shapes import SHAPES, look, outdated
from services import entries
from services.replay.rebuilding import rebuild
from tests.replay.conftest import World
from tests.schemas.later import ADDED_2, ADDED_3, LATER

ROWS = 'SELECT document_id, title, metadata::text FROM documents_g{}.documents ORDER BY document_id COLLATE "C"'


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call it to be the later version from then on: other types of events, and another shape of `documents`."""

    def upgrade() -> None:
        monkeypatch.setattr(entries, "from_source", partial(entries.from_source, types=LATER))
        monkeypatch.setattr(Documents, "shape", 2)

    return upgrade


async def rows(world: World, generation: int) -> dict[str, tuple[str | None, Any]]:
    """Title and metadata of each document."""
    found = await world.connection.fetch(ROWS.format(generation))
    return {row[0]: (row[1], json.loads(row[2])) for row in found}


async def test_a_log_of_several_versions_replays_from_its_beginning(world: World, upgraded: Any) -> None:
    """Events of v1, v2 and v3 lie side by side: the live generation goes on, and one of the new shape is built."""
    world.add("c", "kept", "a first text of some length", metadata={"lang": "en"})
    world.add("c", "rewritten", "text")
    world.add("c", "removed", "text", title="t")
    world.flush()
    await world.follow("documents")
    assert (await rows(world, 1))["kept"] == (None, {"lang": "en"})

    upgraded()
    v2, v3 = ADDED_2.encode(), ADDED_3.encode()
    world.event("c", "rewritten", {"text": "text", "title": "by v2", "language": "de"}, v2)
    world.event("c", "newest", {"text": "text", "title": "by v3", "metadata": {"n": 1}}, v3)
    world.event("c", "invalid", {"text": "v2 demands a title"}, v2)
    world.remove("c", "removed")
    world.add("c", "late", "an old producer", metadata={"lang": "fr"})
    world.flush()
    await world.follow("documents")
    later = {
        "late": ("an old producer", {"language": "fr"}),
        "newest": ("by v3", {"n": 1}),
        "rewritten": ("by v2", {"language": "de"}),
    }
    assert await rows(world, 1) == later | {"kept": (None, {"lang": "en"})}

    (due,) = outdated(await look(world.connection), {**SHAPES, "documents": Documents.shape})
    assert (due.generation, due.shape, due.now, due.next) == (1, 1, 2, 2)
    report = await rebuild(world.settings, "documents", by="an upgrade")
    assert (report.generation, report.promoted) == (2, True), report
    assert await rows(world, 2) == later | {"kept": ("a first text of some", {"language": "en"})}
    assert await world.parked("documents", 2) == await world.parked("documents", 1) != set()
    assert outdated(await look(world.connection), {**SHAPES, "documents": Documents.shape}) == []

"""Two projectors that both think they own a partition: whatever they do in whatever order, no answer is untrue."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import permutations

import asyncpg
import pytest

from projections.control.install import install
from projections.documents import Documents
from projections.documents import read as documents
from projections.passages import Passages
from projections.passages import read as passages
from projections.port import Entry
from projections.reading import Question, Reader
from projections.writer import Writer
from schemas.errors import Fenced
from tests.projections import logs
from tests.projections.logs import INCARNATION, TOPIC, WANTED, added, embedded, removed, unembedded
from tests.running import Databases

# offset by offset: a document and its text, None where it is removed
HISTORY = [("a", "text 0"), ("b", "text 1"), ("a", "text 2"), ("b", None), ("c", "text 4"), ("a", None)]
LOGS: dict[str, list[Entry]] = {
    "documents": [added(at, id_, text) if text else removed(at, id_) for at, (id_, text) in enumerate(HISTORY)],
    "passages": [embedded(at, id_, text) if text else unembedded(at, id_) for at, (id_, text) in enumerate(HISTORY)],
}
ALL: dict[str, Question] = {"documents": documents.page("c", "", 100), "passages": passages.lexical("c", 100, "text")}
INTERLEAVINGS = sorted(set(permutations(["old", "old", "new", "new", "new"])))


@pytest.fixture
async def owner(postgres: Databases) -> AsyncIterator[asyncpg.Connection]:
    """The owner's connection to a database in which Nenrin has just been installed."""
    await install(postgres.owner, WANTED)
    connection = await asyncpg.connect(postgres.owner)
    yield connection
    await connection.close()


def fold(version: int) -> set[str]:
    """Which documents there are at a version."""
    held = dict(HISTORY[:version])
    return {document_id for document_id, text in held.items() if text}


def shown(rows: Iterable[bytes]) -> set[str]:
    """Which documents an answer shows."""
    return {json.loads(row)["document_id"] for row in rows}


async def two_writers(model: Documents | Passages, owner: asyncpg.Connection, dsn: str) -> dict[str, Writer]:
    """Both have claimed the partition at its beginning, the new one last; the old one's connection has survived that.

    So it does when its claim and the other's cross, or when its backend could not be ended.
    """
    writers = {"old": Writer(model, 1, dsn), "new": Writer(model, 1, dsn)}
    await owner.execute(f"UPDATE {model.name}_g1.positions SET next = 0, read_next = 0, backend_pid = NULL")
    await writers["old"].claim(TOPIC, [0], INCARNATION, logs.PARTITIONS)
    await owner.execute(f"UPDATE {model.name}_g1.positions SET backend_pid = NULL")
    await writers["new"].claim(TOPIC, [0], INCARNATION, logs.PARTITIONS)
    return writers


@pytest.mark.parametrize("model", [Documents(), Passages()], ids=["documents", "passages"])
async def test_the_law_holds_whoever_writes(
    owner: asyncpg.Connection, postgres: Databases, model: Documents | Passages
) -> None:
    """After every step of every interleaving what is shown is the fold of the version, which never goes back.

    The old owner changes nothing at all, and the new one's work is complete at the end.
    """
    batches: Sequence[Sequence[Entry]] = [LOGS[model.name][at : at + 2] for at in (0, 2, 4)]
    async with Reader(postgres.reader).reading() as reader:
        for interleaving in INTERLEAVINGS:
            await owner.execute(f"TRUNCATE {model.name}_g1.documents, {model.name}_g1.digests")
            if model.name == "passages":
                await owner.execute("TRUNCATE passages_g1.passages")
            writers, seen, fenced = await two_writers(model, owner, postgres.owner), 0, 0
            left = {"old": iter(batches), "new": iter(batches)}
            for turn in interleaving:
                try:
                    await writers[turn].apply(0, next(left[turn]))
                except Fenced:
                    assert turn == "old", interleaving
                    left["old"] = iter(batches)  # it has learned nothing, and tries again
                    fenced += 1
                answer = await reader.read(model.name, lambda _: ALL[model.name])
                version = answer.version.next(TOPIC, 0)
                assert shown(answer.rows) == fold(version), (interleaving, turn, version)
                assert version >= seen, (interleaving, turn)
                seen = version
            assert (seen, fenced) == (len(HISTORY), 2), interleaving
            for writer in writers.values():
                await writer.release()

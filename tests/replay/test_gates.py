"""Gates: a candidate stands exactly at a version of the live generation, and holds there what that one holds."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from projections.database import connect
from projections.generations import moments
from projections.generations.tables import schema_of
from projections.models import model
from schemas.encoders import MINILM
from schemas.errors import InvalidInput
from schemas.versions import parse
from services.replay import neighbours, pausing
from services.replay.gates import Asked, NoCandidate, gate
from services.replay.report import Gate, Gates, Outcome
from tests.replay.candidates import OTHER, OTHER_DIMENSIONS, candidate, follow_to, held, make_topic, skip_all
from tests.replay.conftest import World

COMMON = ["version", "content digest", "vector digest", "rows", "parked", "counts"]
PROJECTIONS = ["documents", "passages"]


async def gated(world: World, projection: str, generation: int, asked: Asked | None = None) -> Gates:
    """What the gates find."""
    async with held(world, projection, generation) as keeper:
        return await gate(keeper, world.settings, projection, generation, asked=asked or Asked())


def named(found: Gates, name: str) -> Gate:
    """One of them."""
    (one,) = [each for each in found.gates if each.name == name]
    return one


def failing(found: Gates) -> list[str]:
    """Those that stand in the way."""
    return [each.name for each in found.gates if not each.holds]


async def built(world: World, projection: str, documents: int = 40) -> int:
    """A log, the live generation at its end, and a candidate that has seen all of it too."""
    world.history(documents)
    await world.embed()
    await world.follow(projection)
    number = await candidate(world, projection)
    await world.follow(projection, number)
    return number


async def moved(world: World, projection: str, generation: int) -> None:
    """Return once the live generation is further than this one, where it was before."""
    connection = await connect(world.settings.dsn, application="a test that waits")
    here = (await moments.standing(connection, schema_of(projection, generation))).next
    async with asyncio.timeout(60):
        while (await moments.standing(connection, schema_of(projection, 1))).next == here:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.02)
    await connection.close()


@pytest.mark.parametrize("projection", PROJECTIONS)
async def test_a_candidate_stands_exactly_where_live_was_while_live_moves_on(world: World, projection: str) -> None:
    """Events are written and applied all the time; the two are compared at one version, and the live one goes on."""
    number = await built(world, projection)
    apart = await connect(world.settings.dsn, application="a test that looks")
    async with world.writing(projection):
        for _ in range(2):
            await moved(world, projection, number)
            found = await gated(world, projection, number)
            assert found.passed, found.why_not()
            assert found.version is not None
            there = await moments.standing(apart, schema_of(projection, number))
            assert parse(found.version) == there.version
        await moved(world, projection, number)
    assert [each.name for each in found.gates][: len(COMMON)] == COMMON
    await apart.close()


async def test_what_is_wrong_in_the_candidates_rows_is_found_and_named(world: World) -> None:
    """A flipped character, a document too few, one too many: digests are kept, and say nothing of what rows became."""
    number = await built(world, "passages")
    table = f"passages_g{number}.documents"
    columns = ", ".join(f'"{name}"' for name in model("passages", "english").columns("documents"))
    others = columns.replace('"document_id"', "'other'")
    of = "WHERE document_id ="
    for document_id, statement in {
        "d7": f"UPDATE {table} SET title = 'Title 7' {of} 'd7'",
        "d11": f"DELETE FROM {table} {of} 'd11'",
        "other": f"INSERT INTO {table} ({columns}) SELECT {others} FROM {table} {of} 'd8'",
    }.items():
        await world.connection.execute(statement)
        found = await gated(world, "passages", number)
        assert failing(found) == ["rows"]
        assert document_id in [each.document_id for each in named(found, "rows").documents]
        assert document_id in found.why_not()
        assert "live is damaged" not in found.why_not()


async def test_a_flipped_bit_of_a_vector_is_found_and_named(world: World) -> None:
    """One bit of one vector of the candidate."""
    number = await built(world, "passages")
    table, of = f"passages_g{number}.passages", "document_id = 'd8'"
    vector = bytearray(await world.connection.fetchval(f"SELECT vector FROM {table} WHERE {of}"))
    vector[20] ^= 1
    await world.connection.execute(f"UPDATE {table} SET vector = $1 WHERE {of}", bytes(vector))
    found = await gated(world, "passages", number)
    assert [(each.collection, each.document_id) for each in named(found, "rows").documents] == [("c", "d8")]
    assert "live is damaged" not in found.why_not()


async def test_damage_in_live_is_named_and_told_from_damage_in_the_candidate(world: World) -> None:
    """The two are not equal, so nothing moves by itself; but it is known which of them is right, and what mends it."""
    number = await built(world, "documents")
    await world.connection.execute("UPDATE documents_g1.documents SET text = 'x' WHERE document_id = 'd8'")
    found = await gated(world, "documents", number)
    assert failing(found) == ["rows"]
    assert [(each.document_id, each.how) for each in named(found, "rows").documents] == [("d8", "text")]
    assert "live is damaged" in found.why_not()


async def test_what_another_fold_made_of_the_log_is_refused(world: World) -> None:
    """Rows, hashes and digests agree with one another, and not with live: the documents that differ are named."""
    number = await built(world, "documents")
    other = f"documents_g{number}"
    await world.connection.execute(f"""
        WITH gone AS (DELETE FROM {other}.documents WHERE document_id IN ('d5', 'd12') RETURNING *)
        UPDATE {other}.digests d SET documents = d.documents - g.documents,
            content = mod(d.content - g.content + 36893488147419103232, 18446744073709551616)
        FROM (
            SELECT partition, collection, count(*) AS documents, sum(content_hash) AS content FROM gone GROUP BY 1, 2
        ) AS g WHERE (d.partition, d.collection) = (g.partition, g.collection)
    """)
    found = await gated(world, "documents", number)
    assert failing(found) == ["content digest", "counts"]
    for name in failing(found):
        assert [(each.document_id, each.how) for each in named(found, name).documents] == [
            ("d12", "missing"),
            ("d5", "missing"),
        ]


async def test_a_wrong_digest_of_live_is_told_from_rows_that_differ(world: World) -> None:
    """No row differs, so the gate does not name one: it says that a digest is wrong, and what finds out which."""
    number = await built(world, "documents")
    await world.connection.execute("UPDATE documents_g1.digests SET content = mod(content + 1, 18446744073709551616)")
    found = await gated(world, "documents", number)
    assert failing(found) == ["content digest"]
    assert not named(found, "content digest").documents
    assert "nenrin projections verify" in found.why_not()


async def test_an_event_that_only_the_candidate_has_parked_is_named(world: World) -> None:
    """What live has applied must not be parked in its place; the other way round is no worse."""
    number = await built(world, "documents")
    park = "INSERT INTO {}.parked (topic, partition, \"offset\", reason, headers) VALUES ('documents', 0, 3, 'no', '')"
    await world.connection.execute(park.format("documents_g1"))
    assert (await gated(world, "documents", number)).passed
    await world.connection.execute(park.format(f"documents_g{number}"))
    await world.connection.execute('DELETE FROM documents_g1.parked WHERE "offset" = 3 AND partition = 0')
    found = await gated(world, "documents", number)
    assert failing(found) == ["parked"]
    assert "documents/0@3" in found.why_not()


async def test_a_live_generation_that_is_behind_and_stands_still_is_unknown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be compared: that is no pass, and it says who is behind, where, and by how much."""
    monkeypatch.setattr(pausing, "PATIENCE", 0.2)
    number = await candidate(world, "documents")
    world.history(20)
    await world.follow("documents", number)
    found = await gated(world, "documents", number)
    assert not found.passed
    assert [(each.name, each.outcome) for each in found.gates] == [("version", Outcome.UNKNOWN)]
    assert "documents_g1 is behind" in found.why_not()


async def test_the_live_one_and_one_that_has_ended_can_not_become_live(world: World) -> None:
    """It is said at once, before anything is read."""
    number = await candidate(world, "documents")
    with pytest.raises(NoCandidate, match="live already"):
        await gated(world, "documents", 1)
    await world.connection.execute("UPDATE nenrin.generations SET ended_at = now() WHERE generation = $1", number)
    with pytest.raises(NoCandidate, match="has ended"):
        await gated(world, "documents", number)


class Vectors:
    """Stands in for a model of so many dimensions: what it encodes is the test's own."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions

    def encode_query(self, text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        """A vector that hangs on the length of the query."""
        return np.random.default_rng(len(text)).standard_normal(self._dimensions).astype(np.float32)


async def test_another_encoder_is_held_against_live_by_counts_and_neighbours(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another derived topic, other dimensions, records that cover others: the same version, the same documents."""
    await make_topic(world, OTHER)
    world.history(40)
    await world.embed()
    await world.embed(OTHER, OTHER_DIMENSIONS)
    await world.follow("passages")
    number = await candidate(world, "passages", OTHER, OTHER_DIMENSIONS)
    found = await gated(world, "passages", number)
    assert found.passed, found.why_not()
    outcomes = {each.name: each.outcome for each in found.gates}
    assert outcomes["content digest"] == outcomes["vector digest"] == Outcome.NOT_APPLICABLE
    assert outcomes["index recall"] == outcomes["overlap"] == Outcome.PASSED
    assert "told, not judged" in named(found, "overlap").detail

    async def load(hold: object, name: str, device: str) -> Vectors:
        return Vectors(OTHER_DIMENSIONS if name == OTHER else MINILM.dimensions)

    monkeypatch.setattr(neighbours, "_load", load)
    (tmp_path / "queries").write_text('how are rings counted?\n\n{"query": "and trees?"}\n')
    judged = await gated(world, "passages", number, Asked(tmp_path / "queries", min_overlap=0.99))
    assert failing(judged) == ["overlap", "overlap of queries"]  # vectors of chance have hardly a neighbour in common
    assert "of 2 queries" in named(judged, "overlap of queries").detail
    await world.connection.execute(f"DELETE FROM passages_g{number}.documents WHERE document_id = 'd8'")
    await world.connection.execute(
        f"UPDATE passages_g{number}.digests SET documents = documents - 1 WHERE partition = 0"
    )
    counted = await gated(world, "passages", number)
    assert {"rows", "counts"} <= set(failing(counted))
    assert "d8" in [each.document_id for each in named(counted, "counts").documents]


@pytest.mark.parametrize("content", ["", '{"question": "?"}', "{", '{"query": 1}'])
def test_a_file_without_queries_is_refused(tmp_path: Path, content: str) -> None:
    """Before anything is compared, with the file and the line."""
    (tmp_path / "queries").write_text(content)
    with pytest.raises(InvalidInput, match="--queries"):
        neighbours.questions(tmp_path / "queries")


async def test_a_position_of_live_that_a_record_of_another_topic_covers_is_met_exactly(world: World) -> None:
    """One skipped record covers all events there; live stands in their middle, and then the candidate does."""
    await make_topic(world, OTHER)
    for number in range(40):
        world.raw(f"c/odd{number}".encode(), b"{}", b"nenrin.document.renamed.v9")
    world.flush()
    await world.embed()
    await skip_all(world, OTHER)
    number = await candidate(world, "passages", OTHER, OTHER_DIMENSIONS)
    for target in (1, 3, 100):
        await follow_to(world, "passages", 1, target)
        found = await gated(world, "passages", number)
        assert found.passed, found.why_not()
        assert await world.positions("passages", number) == await world.positions("passages", 1)

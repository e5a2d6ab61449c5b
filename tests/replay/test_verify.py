"""Verification: a generation is what its log says, or every row that is not is named."""

from projections.control.install import administration
from projections.generations import moments, scratch
from projections.generations.lifecycle import Build
from projections.generations.tables import schema_of
from projections.models import model
from schemas.topics import DOCUMENTS
from schemas.versions import parse
from services.replay import reading
from services.replay.verifying import Finding, verify
from tests.replay.candidates import candidate
from tests.replay.conftest import World


async def followed(world: World, projection: str, documents: int = 40) -> None:
    """A log, and the live generation at its end."""
    world.history(documents)
    await world.embed()
    await world.follow(projection)


async def test_what_follows_its_log_is_what_the_log_says_while_it_moves(world: World) -> None:
    """It is held still nowhere: the replay meets it at one of its versions, and leaves nothing behind."""
    projection = "passages"
    await followed(world, projection)
    async with world.writing(projection):
        verdict = await verify(world.settings, projection, None, "a test")
    assert verdict.holds, verdict.findings
    assert verdict.documents > 0
    standing = await moments.standing(world.connection, schema_of(projection, 1))
    assert not parse(verdict.version).offsets.keys() ^ standing.version.offsets.keys()
    assert not await world.connection.fetchval(f"SELECT count(*) FROM pg_namespace WHERE nspname = '{projection}_g0'")
    assert await world.connection.fetchval("SELECT count(*) FROM nenrin.generations") == 2


async def test_every_kind_of_damage_to_passages_is_named_and_nothing_else(world: World) -> None:
    """One character, one bit of a vector, rows that are missing, one too many, and a digest; no hash is believed."""
    await followed(world, "passages")
    run, schema = world.connection.execute, "passages_g1"
    await run(f"UPDATE {schema}.documents SET title = 'Title 7' WHERE document_id = 'd7'")
    await run(f"UPDATE {schema}.passages SET text = replace(text, 'text', 'tex7') WHERE document_id = 'd8'")
    vector = bytearray(
        await world.connection.fetchval(f"SELECT vector FROM {schema}.passages WHERE document_id = 'd9'")
    )
    vector[100] ^= 1
    await run(f"UPDATE {schema}.passages SET vector = $1 WHERE document_id = 'd9'", bytes(vector))
    await run(f"DELETE FROM {schema}.documents WHERE document_id = 'd11'")
    await run(f"DELETE FROM {schema}.passages WHERE document_id = 'd11'")
    await run(f"UPDATE {schema}.passages SET ordinal = 5 WHERE document_id = 'd12'")
    partition = await world.connection.fetchval(f"SELECT partition FROM {schema}.documents WHERE document_id = 'd13'")
    await run(f"UPDATE {schema}.digests SET passages = passages + 1 WHERE partition = $1", partition)
    await run(f'DELETE FROM {schema}.parked WHERE "offset" = (SELECT min("offset") FROM {schema}.parked)')
    verdict = await verify(world.settings, "passages", 1, "a test")
    rows = [each for each in verdict.findings if each.document_id is not None]
    assert rows == [
        Finding("documents", "missing", "c", "d11"),
        Finding("documents", "title", "c", "d7"),
        Finding("passages", "missing", "c", "d11", 0),
        Finding("passages", "missing", "c", "d12", 0),
        Finding("passages", "extra", "c", "d12", 5),
        Finding("passages", "text", "c", "d8", 0),
        Finding("passages", "vector", "c", "d9", 0),
    ]
    digest, *parked = [each for each in verdict.findings if each.document_id is None]
    assert digest.what == "digests"
    assert digest.collection == "c"
    assert digest.how.startswith(f"partition {partition}: passages ")
    assert parked
    assert all(each.what == "parked" and each.how.endswith("is missing") for each in parked)


async def test_another_generation_is_verified_where_it_stands(world: World) -> None:
    """One that is behind is compared at its own version; one flipped character of it is found."""
    await followed(world, "documents", 12)
    number = await candidate(world, "documents")
    await world.follow("documents", number)
    world.history(30)
    await world.follow("documents")
    assert (await verify(world.settings, "documents", number, "a test")).holds
    await world.connection.execute(
        f"UPDATE documents_g{number}.documents SET text = text || '.' WHERE document_id = 'd8'"
    )
    verdict = await verify(world.settings, "documents", number, "a test")
    assert verdict.findings == [Finding("documents", "text", "c", "d8")]
    assert parse(verdict.version) == (await moments.standing(world.connection, f"documents_g{number}")).version


async def test_what_a_killed_verification_left_is_in_nobodys_way(world: World) -> None:
    """Its half-filled scratch generation is dropped by the next one; nobody was ever sent there."""
    await followed(world, "documents", 12)
    source = (await reading.stretch(world.settings.kafka_settings(), None)).source
    async with administration(world.settings.dsn) as connection:
        fold = model("documents", "english")
        await scratch.make(connection, fold, Build(DOCUMENTS, source.partitions, source.incarnation))
    await world.follow("documents", scratch.SCRATCH)
    await world.connection.execute("DELETE FROM documents_g0.documents WHERE document_id = 'd8'")
    assert (await verify(world.settings, "documents", None, "a test")).holds

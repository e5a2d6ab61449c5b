"""`nenrin projections promote`, `rollback`, `retire` and `verify`: what they do, print, and end with."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.versions import parse
from tests.replay.candidates import candidate
from tests.replay.commands import run
from tests.replay.conftest import World

PROMOTIONS = "SELECT kind, generation, replaced, decided_by, forced_because FROM nenrin.promotions ORDER BY id"


async def called(world: World, *arguments: str) -> tuple[int, str, str]:
    """`nenrin projections …`: exit status, stdout, stderr."""
    return await asyncio.to_thread(run, world.settings, "projections", *arguments)


async def built(world: World, projection: str) -> int:
    """A log, the live generation at its end, and a candidate that has seen all of it too."""
    world.history(20)
    await world.embed()
    await world.follow(projection)
    number = await candidate(world, projection)
    await world.follow(projection, number)
    return number


async def live(world: World) -> Sequence[int | None]:
    """The pointer's value, and the one before."""
    return tuple(
        await world.connection.fetchrow("SELECT live, previous FROM nenrin.projections WHERE name = 'documents'")
    )


async def test_there_and_back_and_the_rest_goes(world: World) -> None:
    """Promote through the gates, roll back at once, roll forth, retire what is not needed; all of it is on record."""
    number = await built(world, "documents")
    status, out, err = await called(world, "promote", "documents", "--by", "ana", "--json")
    report = json.loads(out)
    assert (status, report["generation"], report["promoted"]) == (0, number, True), err
    assert [gate["outcome"] for gate in report["gates"] if gate["name"] != "vector digest"] == ["passed"] * 5
    assert parse(report["version"]).offsets["documents"] == await world.positions("documents", number)
    assert await live(world) == (number, 1)
    status, out, _ = await called(world, "rollback", "documents", "--by", "ben", "--reason", "odd answers", "--json")
    assert (status, json.loads(out)) == (0, {"projection": "documents", "live": 1, "previous": number, "behind": 0})
    world.history(8)
    await world.follow("documents")
    status, out, err = await called(world, "rollback", "documents", "--by", "ben")
    assert "it lacks" in err
    assert (status, out) == (
        0,
        f"documents generation {number} is live; 1 is kept as the previous one, and follows on\n",
    )
    status, _, err = await called(world, "retire", "documents", str(number))
    assert (status, err.count("\n")) == (1, 1)
    assert f"nenrin: generation {number} of documents is live" in err
    status, out, err = await called(world, "retire", "documents", "1")
    assert (status, out) == (0, "documents generation 1 is dropped\n")
    assert "nothing to roll back to" in err
    status, _, err = await called(world, "rollback", "documents")
    assert (status, err) == (1, "nenrin: documents has no previous generation to go back to\n")
    status, _, err = await called(world, "retire", "documents", "1")
    assert status == 1
    assert "has no generation 1" in err
    assert [tuple(row) for row in await world.connection.fetch(PROMOTIONS)] == [
        ("promote", number, 1, "ana", None),
        ("rollback", 1, number, "ben", "odd answers"),
        ("rollback", number, 1, "ben", None),
    ]


async def test_a_gate_that_fails_leaves_everything_as_it_was_until_somebody_overrules_it(world: World) -> None:
    """It says which gate, why, and which document; who forces it, and why, is kept with what the gates had found."""
    number = await built(world, "documents")
    await world.connection.execute(f"UPDATE documents_g{number}.documents SET text = 'x' WHERE document_id = 'd8'")
    status, out, err = await called(world, "promote", "documents", "--json")
    report = json.loads(out)
    assert (status, report["promoted"], await live(world)) == (1, False, (1, None))
    (failed,) = [gate for gate in report["gates"] if gate["outcome"] == "failed"]
    assert (failed["name"], [each["document_id"] for each in failed["documents"]]) == ("rows", ["d8"])
    assert "rows failed" in err
    assert "c/d8" in err
    assert await world.connection.fetch(PROMOTIONS) == []
    status, _, err = await called(world, "promote", "documents", "--force")
    assert status == 5
    assert "--reason" in err
    status, _, err = await called(world, "promote", "documents", "--force", "--reason", "a drill", "--by", "ana")
    assert (status, await live(world)) == (0, (number, 1)), err
    (kept,) = await world.connection.fetch("SELECT decided_by, forced_because, report FROM nenrin.promotions")
    assert (kept["decided_by"], kept["forced_because"]) == ("ana", "a drill")
    assert failed in json.loads(kept["report"])["gates"]


async def test_verification_prints_each_thing_that_differs(world: World) -> None:
    """What is whole ends with 0; a flipped character with 1, its document and column on stdout, a line on stderr."""
    world.history(12)
    await world.follow("documents")
    status, out, err = await called(world, "verify", "documents")
    assert status == 0, err
    assert out.endswith("documents generation 1 is what its log says\n")
    await world.connection.execute("UPDATE documents_g1.documents SET text = text || '.' WHERE document_id = 'd8'")
    status, out, err = await called(world, "verify", "documents")
    assert status == 1
    assert out.startswith("documents c/d8: text\n")
    assert err.splitlines()[-1].startswith("nenrin: documents generation 1 is not what its log says")
    status, out, _ = await called(world, "verify", "documents", "--json")
    finding: Mapping[str, Any] = json.loads(out)["findings"][0]
    assert (status, finding["document_id"], finding["how"]) == (1, "d8", "text")

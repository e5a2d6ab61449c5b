"""A rebuild that is killed at any moment goes on where it stopped, and its result is none the worse."""

import asyncio
import json
import os
import random
import signal

import pytest

from services.replay.progress import Phase
from tests.replay.commands import Command, run
from tests.replay.conftest import World

PHASES = (Phase.LOADING, Phase.LOGGING, Phase.INDEXING, Phase.GATES, Phase.PROMOTING)


@pytest.mark.parametrize("projection", ["documents", "passages"])
async def test_killed_in_every_phase_it_goes_on(world: World, projection: str) -> None:
    """SIGKILL a random moment after each phase began, again and again: what becomes live is what a projector made."""
    world.history(1500)
    await world.embed()
    await world.follow(projection)
    said = await asyncio.to_thread(_kill_in_every_phase, world, projection)
    status, out, err = await asyncio.to_thread(run, world.settings, "projections", "rebuild", projection, "--json")
    assert status == 0, said + err
    report = json.loads(out)
    assert report["promoted"], said + err
    number = report["generation"]  # one more than 2 for each kill that came behind a promotion
    assert number > 1, said + err
    assert await world.digest(projection, number) == await world.digest(projection, 1)
    assert await world.rows(projection, number) == await world.rows(projection, 1)
    assert await world.parked(projection, number) == await world.parked(projection, 1) != set()
    if projection == "documents":
        await world.agrees(number)


def _kill_in_every_phase(world: World, projection: str) -> str:
    said = ""
    for phase in PHASES:
        command = Command(world.settings, "projections", "rebuild", projection, "--json")
        if command.until(f"{phase.value} …"):
            command.process.join(random.uniform(0, 0.1))
            command.kill()
        said += f"--- killed in {phase.value}\n{command.said}"
    return said


async def test_ctrl_c_leaves_what_is_there(world: World) -> None:
    """One line says how to go on, the status is that of an interrupt, and the same command goes on."""
    world.history(400)
    await world.follow("documents")
    command = Command(world.settings, "projections", "rebuild", "documents")
    assert await asyncio.to_thread(command.until, f"{Phase.LOADING.value} …")
    os.kill(command.process.pid or 0, signal.SIGINT)
    status, out = await asyncio.to_thread(command.end)
    assert (status, out) == (130, ""), command.said
    assert command.said.endswith(
        "nenrin: interrupted; `nenrin projections rebuild documents` goes on where this stopped\n"
    )
    status, _, err = await asyncio.to_thread(run, world.settings, "projections", "rebuild", "documents")
    assert status == 0, err
    assert "documents_g2 was left half built by an earlier rebuild" in err

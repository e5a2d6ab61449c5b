"""A rebuild that is killed at any moment goes on where it stopped, and its result is none the worse."""

import asyncio
import json
import os
import random
import signal
import time

import psutil
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


async def test_workers_end_with_the_rebuild_that_is_killed(world: World) -> None:
    """SIGKILL while they fold: they are gone at once, and another rebuild goes on, with workers of its own."""
    world.history(1500)
    await world.follow("documents")
    rebuild = ("projections", "rebuild", "documents", "--json")
    said = await asyncio.to_thread(_kill_with_workers, world, rebuild)
    command = Command(world.settings, *rebuild, little=0)
    status, out = await asyncio.to_thread(command.end)
    assert status == 0, said + command.said
    number = json.loads(out)["generation"]
    assert await world.rows("documents", number) == await world.rows("documents", 1)
    assert await world.parked("documents", number) == await world.parked("documents", 1) != set()
    await world.agrees(number)


def _kill_with_workers(world: World, rebuild: tuple[str, ...]) -> str:
    said, met = "", 0
    for seconds in (0.0, 0.5):
        command = Command(world.settings, *rebuild, little=0)
        workers = _workers(command) if command.until(f"{Phase.LOADING.value} …") else []
        command.process.join(seconds)
        command.kill()
        met += len(workers)
        said += command.said
        _, left = psutil.wait_procs(workers, timeout=2)
        assert all(each.status() == psutil.STATUS_ZOMBIE for each in left)  # nobody may be there to wait for orphans
    assert met, said
    return said


def _workers(command: Command) -> list[psutil.Process]:
    """As many as there are, once there is one, of a rebuild that has just begun to load."""
    there = psutil.Process(command.process.pid)
    for _ in range(100):
        if workers := [each for each in there.children() if "services.replay.worker" in each.cmdline()]:
            return workers
        time.sleep(0.01)
    return []


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

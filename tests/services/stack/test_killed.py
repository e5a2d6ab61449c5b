"""SIGKILL of the supervisor at each moment of its life: the next start ends what is left, and goes on."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psutil
import pytest

from nenrin.cli.endings import NoStack
from nenrin.cli.running import find_stack
from nenrin.client import Session
from nenrin.client.errors import NoStack as NoStackForClients
from tests.services.stack.test_stack import arguments, eventually, left_in, servers, written

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")


class Supervisor:
    """A supervisor of the two servers in a process of its own, whose end is SIGKILL."""

    def __init__(self, state: Path) -> None:
        self.state = state

    async def starts(self) -> None:
        """Begin, and not wait for anything."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.stack.dev", "--state", str(self.state)
        )

    async def is_up(self) -> None:
        """Begin, and wait until everything answers."""
        began = time.time()
        await self.starts()
        await eventually(lambda: changed(self.state / "endpoints.json") > began)

    async def asked_to_stop(self) -> None:
        """Be in the middle of a clean stop."""
        self._process.terminate()
        await eventually(lambda: not (self.state / "endpoints.json").exists())

    async def killed_when(self, moment: Callable[[], bool]) -> None:
        """Wait for a moment, and kill it there."""
        await eventually(moment)
        self._process.kill()
        await self._process.wait()

    async def restarting(self, name: str) -> None:
        """Be in the middle of starting a server again."""
        pid = written(self.state)["processes"][name]
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: written(self.state)["processes"][name] != pid)


def changed(file: Path) -> float:
    """When a file was last written."""
    return file.stat().st_mtime if file.exists() else 0.0


def makes_the_cluster(state: Path) -> bool:
    """Whether initdb's own postgres works."""
    unfinished = state / "postgres.unfinished"
    return any(str(unfinished) in arguments(process) for process in psutil.process_iter())


def runs(state: Path) -> set[int]:
    """The pids in the record."""
    record = state / "run.json"
    return {entry["pid"] for entry in json.loads(record.read_text()).values()} if record.exists() else set()


async def test_wherever_a_supervisor_is_killed_the_next_one_starts(tmp_path: Path) -> None:
    """While it makes the database, starts the servers, starts one again, and stops: nothing is left in the way."""
    supervisor = Supervisor(tmp_path)
    await supervisor.starts()
    await supervisor.killed_when(lambda: makes_the_cluster(tmp_path))
    await supervisor.starts()
    await supervisor.killed_when(lambda: len(runs(tmp_path)) == 2)
    await supervisor.is_up()
    await supervisor.restarting("kafka")
    await supervisor.killed_when(lambda: True)
    await supervisor.is_up()
    await supervisor.asked_to_stop()
    await supervisor.killed_when(lambda: True)
    async with servers(tmp_path):
        assert runs(tmp_path) == set(written(tmp_path)["processes"].values())
    assert left_in(tmp_path) == []


async def test_what_was_frozen_when_the_supervisor_was_killed_is_ended(tmp_path: Path) -> None:
    """A frozen server, or a frozen backend of Postgres, can't follow its death signal: the next start wakes it.

    Nor does a frozen backend hold up a stop, for which Postgres waits for its backends.
    """
    supervisor = Supervisor(tmp_path)
    await supervisor.is_up()
    connection = await asyncpg.connect(written(tmp_path)["postgres"])
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS it")
    frozen = [*written(tmp_path)["processes"].values(), await connection.fetchval("SELECT pg_backend_pid()")]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    await supervisor.killed_when(lambda: True)
    assert all(psutil.pid_exists(pid) for pid in frozen)
    async with asyncio.timeout(30), servers(tmp_path) as stack:
        assert not any(psutil.pid_exists(pid) for pid in frozen)
        connection.terminate()
        connection = await asyncpg.connect(stack.postgres.dsn)
        assert await connection.fetchval("SELECT it FROM kept") == 1
        os.kill(await connection.fetchval("SELECT pg_backend_pid()"), signal.SIGSTOP)
        async with asyncio.timeout(10):
            await stack.stop("postgres")
        connection.terminate()
    assert left_in(tmp_path) == []


HOLD = """
import sys, time
from pathlib import Path
from services.stack.files import StateFolder
folder = StateFolder(Path(sys.argv[1]))
with folder.locked():
    folder.write(folder.endpoints, {"command": "http://127.0.0.1:1", "query": "http://127.0.0.1:1"})
    time.sleep(600)
"""


async def test_what_a_killed_supervisor_left_written_misleads_nobody(tmp_path: Path) -> None:
    """Its endpoints.json names ports that anyone may listen on by now; commands and clients don't go there."""
    holding = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLD, str(tmp_path))
    await eventually((tmp_path / "endpoints.json").exists)
    assert find_stack(tmp_path).query == "http://127.0.0.1:1"
    holding.kill()
    await holding.wait()
    assert (tmp_path / "endpoints.json").exists()
    with pytest.raises(NoStack, match=r"was killed, .* start it again with `nenrin up --state "):
        find_stack(tmp_path)
    with pytest.raises(NoStackForClients, match="was killed"):
        Session(state=tmp_path)

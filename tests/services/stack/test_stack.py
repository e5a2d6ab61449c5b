"""The embedded stack, with its two servers only: what starts, what comes back, and what stays behind."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from confluent_kafka.admin import AdminClient

from services.stack.errors import AlreadyRunning, PortTaken
from services.stack.ports import Ports
from services.stack.process import Backoff
from services.stack.supervisor import Stack


def servers(state: Path) -> Stack:
    """Kafka and Postgres alone, where nobody else listens."""
    return Stack(state, free_ports=True, services=())


def written(state: Path) -> dict[str, Any]:
    """What a client reads."""
    endpoints: dict[str, Any] = json.loads((state / "endpoints.json").read_text())
    return endpoints


def left_in(state: Path) -> list[str]:
    """Processes that work in the state folder or were started with a path inside it."""
    return [
        process.name()
        for process in psutil.process_iter()
        if process.pid != os.getpid() and any(str(state) in argument for argument in arguments(process))
    ]


def arguments(process: psutil.Process) -> list[str]:
    """How it was started, and where it is."""
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return [*process.cmdline(), process.cwd()]
    return []


def is_new(state: Path, name: str, pid: int) -> bool:
    """Whether a process has started again since it had this pid."""
    return bool(written(state)["processes"][name] != pid)


async def eventually(true: Callable[[], bool], within: float = 60) -> None:
    """Wait for something that other processes bring about."""
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - what happens in another process sets no event here
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def supervisor(state: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A supervisor in a process of its own, when everything answers."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.stack.dev", "--state", str(state))
    try:
        await eventually((state / "endpoints.json").exists)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_both_servers_answer_and_nothing_is_left_after_the_stop(tmp_path: Path) -> None:
    """`endpoints.json` is there while the stack runs, says the truth, and goes; so does every process."""
    async with servers(tmp_path) as stack:
        endpoints = written(tmp_path)
        assert set(endpoints) == {"kafka", "postgres", "processes"}
        assert endpoints["processes"] == {"kafka": stack.pid("kafka"), "postgres": stack.pid("postgres")}
        assert psutil.Process(endpoints["processes"]["kafka"]).name() == "java"
        assert psutil.Process(endpoints["processes"]["postgres"]).name() == "postgres"
        assert AdminClient({"bootstrap.servers": endpoints["kafka"]}).list_topics(timeout=5).cluster_id
        connection = await asyncpg.connect(endpoints["postgres"])
        assert await connection.fetchval("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'") == 1
        await connection.close()
    assert not (tmp_path / "endpoints.json").exists()
    assert left_in(tmp_path) == []


async def test_a_killed_server_comes_back_at_the_same_place(tmp_path: Path) -> None:
    """After SIGKILL each server starts again with its port and its data, and `endpoints.json` names the new pid."""
    async with servers(tmp_path) as stack:
        before = written(tmp_path)
        connection = await asyncpg.connect(stack.postgres.dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS it")
        for name, pid in before["processes"].items():
            os.kill(pid, signal.SIGKILL)
            await eventually(partial(is_new, tmp_path, name, pid))
            await stack.processes[name].answered()
        after = written(tmp_path)
        connection = await asyncpg.connect(stack.postgres.dsn)
        assert await connection.fetchval("SELECT it FROM kept") == 1
        await connection.close()
        assert AdminClient({"bootstrap.servers": after["kafka"]}).list_topics(timeout=5).cluster_id
    assert {**before, "processes": None} == {**after, "processes": None}


async def test_a_server_stopped_on_purpose_stays_stopped(tmp_path: Path) -> None:
    """Stopping one process is not a death: it leaves `endpoints.json` and returns only when it is started."""
    async with servers(tmp_path) as stack:
        await stack.stop("postgres")
        assert set(written(tmp_path)["processes"]) == {"kafka"}
        await stack.start("postgres")
        assert set(written(tmp_path)["processes"]) == {"kafka", "postgres"}


async def test_a_state_folder_has_one_supervisor(tmp_path: Path) -> None:
    """A second start in the same folder is refused, and says which process holds it."""
    with servers(tmp_path).folder.locked(), pytest.raises(AlreadyRunning, match=f"in use by process {os.getpid()}"):
        async with servers(tmp_path):
            pass


async def test_a_foreign_lock_file_does_not_keep_postgres_from_starting(tmp_path: Path) -> None:
    """After a crash the recorded pid may belong to anyone; Postgres alone would take it for a running server."""
    async with servers(tmp_path) as stack:
        await stack.stop("postgres")
        stale = f"{os.getpid()}\n{stack.postgres.folder}\n1\n{stack.postgres.port}\n\n127.0.0.1\n 1 1\nready\n"
        (stack.postgres.folder / "postmaster.pid").write_text(stale)
        await stack.start("postgres")


async def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    """The exit status is 0, and neither a process nor `endpoints.json` is left."""
    async with supervisor(tmp_path) as process:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert left_in(tmp_path) == []
        assert not (tmp_path / "endpoints.json").exists()


def test_a_taken_port_is_named() -> None:
    """The refusal says which port, for what, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port}, meant for kafka, .*--free-ports"):
            Ports(kafka=port).check(["kafka"])


def test_a_restart_is_immediate_once_and_then_slower_up_to_five_seconds() -> None:
    """One death costs nothing; a process that dies at each start doesn't burn a core; a long life is forgiven."""
    backoff = Backoff()
    waits = [backoff.after(1) for _ in range(8)]
    assert waits == [0, 0.25, 0.5, 1, 2, 4, 5, 5]
    assert backoff.after(31) == 0

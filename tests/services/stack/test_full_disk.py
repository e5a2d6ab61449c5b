"""A full disk under the whole state folder: said by name, survived, and over as soon as there is room."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from services import disk
from services.stack.process import Process
from services.stack.status import line
from services.stack.supervisor import Stack
from tests.services.stack.test_stack import eventually, written


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(folder))
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root, and Linux")
    yield folder
    subprocess.run(("umount", "-l", str(folder)), check=True)


@contextmanager
def filled(folder: Path) -> Iterator[Callable[[], None]]:
    """Not a block is left. What is yielded takes those that have become free since."""
    with (folder / "ballast").open("wb", buffering=0) as file:

        def fill() -> None:
            with suppress(OSError):
                while True:
                    file.write(bytes(4096))

        fill()
        yield fill
    (folder / "ballast").unlink()


async def test_a_stack_outlives_a_full_disk(small_disk: Path) -> None:
    """Kafka ends at each start; the supervisor says which disk, tries again and again, and nothing is lost."""
    said: list[str] = []

    def note(process: Process) -> None:
        said.append(line(process))

    async with Stack(small_disk, free_ports=True, services=(), watch=note) as stack:
        connection = await asyncpg.connect(stack.postgres.dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS it")
        with filled(small_disk) as fill:
            for pid in written(small_disk)["processes"].values():
                os.kill(pid, signal.SIGKILL)
            await eventually(lambda: fill() or stack.processes["kafka"].restarts > 1)
            assert any("is full" in text and f"{small_disk}/postgres" in text for text in said)
            assert any("is full" in text and f"{small_disk}/kafka" in text for text in said)
        async with asyncio.timeout(60):
            for process in stack.processes.values():
                await process.answered()
        await eventually(lambda: written(small_disk)["processes"] == stack.pids)
        connection = await asyncpg.connect(stack.postgres.dsn)
        assert await connection.fetchval("SELECT it FROM kept") == 1
        await connection.close()
        await eventually(lambda: not any(process.trouble for process in stack.processes.values()))


def test_a_disk_with_room_is_no_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a shortage is told, and what can't be looked at is no shortage."""
    assert not disk.shortage(None)
    assert not disk.shortage(tmp_path / "nowhere")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 0, disk.LOW))
    assert not disk.shortage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 0, disk.LOW - 1))
    assert f"the disk of {tmp_path} is full (32.0 MiB left): free some space there" in disk.shortage(tmp_path)

"""Full disks: a server's data on a small file system of its own, filled to the last byte for a while, then freed."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg

from benchmarks.reporting import Figure
from benchmarks.under_load.callers import Callers, hung_up
from benchmarks.under_load.outages import READS, SEARCHES, WRITES, until_answered
from services.stack.process import Process
from services.stack.status import line
from services.stack.supervisor import Stack

MIB = 2**20
ROOM = {"kafka": 64 * MIB, "postgres": 128 * MIB}
"""What is left on the small file system before it is filled."""
DATA = {"kafka": "kafka/data", "postgres": "postgres"}
BALLAST = "ballast"


class NoMount(Exception):
    """This account can't mount a file system."""


async def measure(folder: Path, texts: list[str], seconds: float) -> list[Figure]:
    """Each server's disk in turn, in a stack of its own. Raises `NoMount`."""
    async with Stack(folder, free_ports=True):
        pass  # what it makes at its first start has to be there to be moved
    figures = []
    for name, data in DATA.items():
        with small_disk(folder / data, ROOM[name]) as disk:
            figures += await _full(name, disk, folder, texts, seconds)
    return figures


@contextlib.contextmanager
def small_disk(data: Path, room: int) -> Iterator[Path]:
    """A folder on a file system in memory that has `room` bytes left, and on the real one again afterwards."""
    size = sum(file.stat().st_blocks * 512 for file in data.rglob("*") if file.is_file()) + room
    owner = data.stat()
    aside = data.with_name(f"{data.name}.aside")
    data.rename(aside)
    data.mkdir(mode=0o700)
    mounted = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", f"size={size},mode=700,uid={owner.st_uid},gid={owner.st_gid}", "tmpfs", data),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        if mounted.returncode:
            raise NoMount(f"mounting a small file system failed, which only root may: {mounted.stderr.strip()}")
        subprocess.run(("cp", "-a", f"{aside}/.", data), check=True)
        yield data
        subprocess.run(("cp", "-a", f"{data}/.", aside), check=True)
    finally:
        subprocess.run(("umount", "-l", data), check=False, capture_output=True)
        data.rmdir()
        aside.rename(data)


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not one block is left, until the end."""
    ballast = disk / BALLAST
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(64 * 1024))
    try:
        yield
    finally:
        ballast.unlink()


async def _full(name: str, disk: Path, folder: Path, texts: list[str], seconds: float) -> list[Figure]:
    said: list[str] = []

    def note(process: Process) -> None:
        said.append(line(process))

    async with Stack(folder, free_ports=True, watch=note) as stack, hung_up(stack, texts) as callers:
        async with callers.calling(writes=WRITES, reads=READS, searches=SEARCHES):
            await asyncio.sleep(3)
            began = time.monotonic()
            with filled(disk):
                pressing = asyncio.create_task(_press(stack)) if name == "postgres" else None
                await asyncio.sleep(seconds)
                ended, ready = time.monotonic(), await callers.ready()
                if pressing is not None:
                    pressing.cancel()
            recovered = await until_answered(callers, time.monotonic())
        drained = await callers.drain()
        what = f"{name}'s disk full for {seconds:.0f} s"
        logs = (folder / "logs" / f"{name}.log").read_text(errors="replace")
        return [
            *_answers(what, callers, began, ended),
            Figure(f"{what}: nenrin up says", _first(said, "disk"), "", "names the disk", bool(_first(said, "disk"))),
            Figure(f"{what}: its log says", f"{logs.count('No space left')} × No space left on device"),
            *(Figure(f"{what}: /readyz of {service}", text[:300]) for service, text in ready.items()),
            Figure(f"{what}: after space was freed", f"{recovered:.1f} s to answers, {drained:.0f} s more to lag 0"),
            await callers.not_lost(what),
        ]


async def _press(stack: Stack) -> None:
    """Ask for new segments of the log, which a full disk can't give."""
    while True:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await asyncpg.connect(stack.postgres.dsn, timeout=5)
            try:
                await connection.execute("SELECT pg_logical_emit_message(true, 'full', repeat('x', 1000000))")
            finally:
                connection.terminate()
        await asyncio.sleep(0.2)


def _answers(what: str, callers: Callers, since: float, until: float) -> Iterator[Figure]:
    for who, series in (("commands", callers.writes), ("reads", callers.reads), ("searches", callers.searches)):
        during = series.between(since, until)
        details = sorted({str(one.problem.get("detail", "")) for one in during if one.problem})
        yield Figure(
            f"{what}: {who}", f"{during.statuses}; slowest {during.slowest:.1f} s", " | ".join(details)[:400],
            "200, 202 or 503", {one.status for one in during} <= {200, 202, 503},
        )  # fmt: skip


def _first(said: list[str], word: str) -> str:
    return next((text for text in said if word in text), "")

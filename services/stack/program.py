"""What the supervisor needs to know to run one process."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class User:
    """The account that a process runs as, when it isn't ours."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Program:
    """One process: how to start it and in which folder, how to tell that it answers, and how to end it.

    `about` says what it works for, where that isn't its name alone.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    answers: Callable[[], Awaitable[bool]]
    url: str = ""
    about: str = ""
    metrics: str = ""
    data: Path | None = None
    user: User | None = None
    nice: int = 0
    before_start: Callable[[], None] = lambda: None
    after_end: Callable[[], None] = lambda: None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_patience: float = 10.0
    orphan_signal: signal.Signals = signal.SIGKILL

    def launch(self, parent: int) -> tuple[str, ...]:
        """The command line, by way of the launcher, which makes the process end when `parent` does."""
        return launched(self.command, user=self.user, nice=self.nice, death_signal=self.orphan_signal, parent=parent)


async def run_to_end(
    command: tuple[str, ...],
    environment: Mapping[str, str],
    folder: Path,
    *,
    user: User | None = None,
    said: str = "",
) -> tuple[int, str]:
    """Run a short program; its exit status and what it printed. It doesn't outlive the caller's patience, nor us."""
    process = await asyncio.create_subprocess_exec(
        *launched(command, user=user, death_signal=signal.SIGKILL, parent=os.getpid()),
        env=dict(environment),
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate(said.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode(errors="replace")


def launched(
    command: tuple[str, ...],
    *,
    user: User | None = None,
    nice: int = 0,
    death_signal: signal.Signals | None = None,
    parent: int | None = None,
) -> tuple[str, ...]:
    """Wrap a command so that it runs as `user`, steps back for others, and ends when `parent` does."""
    options = ["--nice", str(nice)]
    if user is not None:
        options += ["--uid", str(user.uid), "--gid", str(user.gid)]
    if death_signal is not None:
        options += ["--death-signal", str(int(death_signal)), "--parent", str(parent)]
    return (sys.executable, "-I", "-S", str(LAUNCHER), *options, "--", *command)

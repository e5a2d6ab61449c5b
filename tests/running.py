"""Programs of ours as tests run them: in a folder of their own, with nothing left behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx

from services.stack.program import launched

START_WITHIN = 240.0  # the first start on a machine compiles and caches much, and other tests share the cores
STOP_WITHIN = 60.0


@dataclass(frozen=True)
class Running:
    """A program that keeps `endpoints.json` in its state folder."""

    process: subprocess.Popen[bytes]
    state: Path

    @property
    def endpoints(self) -> dict[str, Any]:
        """What runs where now. The file is replaced whole at every restart, so it is read anew each time."""
        endpoints: dict[str, Any] = json.loads((self.state / "endpoints.json").read_text())
        return endpoints

    @property
    def pids(self) -> dict[str, int]:
        """The processes that run now."""
        pids: dict[str, int] = self.endpoints["processes"]
        return pids

    def said(self) -> str:
        """The program's own output, and the ends of its processes' logs."""
        logs = [self.state / "output", *sorted((self.state / "logs").glob("*.log"))]
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)


@dataclass(frozen=True)
class Databases:
    """The DSNs of one database: for its owner, and for the role that can only select."""

    owner: str
    reader: str


@contextmanager
def running(state: Path, *arguments: str) -> Iterator[Running]:
    """A program of ours that answers, in `state`; ended by SIGTERM, which has to end it cleanly.

    It dies with this process too, however this one ends.
    """
    state.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-P", "-m", *arguments, "--state", str(state))
    with (state / "output").open("wb") as output:
        process = subprocess.Popen(
            launched(command, death_signal=signal.SIGTERM, parent=os.getpid()),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment({}),
        )
    program = Running(process, state)
    try:
        _wait_for_endpoints(program)
        yield program
    finally:
        process.terminate()
        status = _ended(process)
    assert status == 0, f"{arguments} ended with {status}\n{program.said()}"


def _wait_for_endpoints(program: Running) -> None:
    deadline = time.monotonic() + START_WITHIN
    while not (program.state / "endpoints.json").exists():
        assert program.process.poll() is None, program.said()
        assert time.monotonic() < deadline, f"not up within {START_WITHIN:.0f} s\n{program.said()}"
        time.sleep(0.05)


def _ended(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with these settings, and no others of Nenrin's."""
    ours = ("NENRIN_", "PYTHONDONTWRITEBYTECODE")  # without bytecode every start would compile everything again
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | dict(settings)


def with_database(dsn: str, database: str) -> str:
    """The same server and role, another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


def execute(dsn: str, statement: str) -> None:
    """Run one statement outside a transaction."""

    async def once() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(once())


@contextmanager
def up(state: Path) -> Iterator[Running]:
    """`nenrin up` in a folder of its own, on free ports."""
    with running(state, "nenrin", "up", "--free-ports") as program:
        yield program


def until_it_embeds(stack: Running) -> None:
    """Return once the embedder has its model: it takes events before, and on a busy machine readers tire of waiting."""
    metrics: str = json.loads((stack.state / "metrics.json").read_text())["embedder"]
    deadline = time.monotonic() + START_WITHIN
    while (
        httpx.get(metrics.replace("/metrics", "/readyz"), timeout=START_WITHIN).json()["notes"]["encoder"] != "loaded"
    ):
        assert time.monotonic() < deadline, stack.said()
        time.sleep(0.1)


def clone(owner: str, name: str, template: str) -> None:
    """Make a database that is a copy of another: of its files, which is quicker than page by page through the log."""
    execute(owner, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")


def as_reader(dsn: str, database: str, password: str) -> str:
    """The DSN of the role that can only select."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"nenrin_reader:{password}@{parts.hostname}:{parts.port}", path=database))

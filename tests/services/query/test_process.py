"""The query service as a process: it outlives Postgres, ends when told to, and forgets clients that hang up."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from projections.control.install import install
from schemas.versions import Version
from services.query.waiting import WAITERS
from services.stack.program import launched
from tests.running import Databases, environment, execute
from tests.services.query.conftest import WANTED
from tests.services.query.crowd import readers

RUN = "from services.query import run; from services.settings import Settings; run(Settings.load())"
FAR = Version({"documents": {0: 1_000_000}}).token()


@dataclass(frozen=True)
class Query:
    """A running query service."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """GET, patiently."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=40)

    def waiters(self) -> int:
        """How many requests wait."""
        lines = self.get("/metrics").text.splitlines()
        return int(float(next(line for line in lines if line.startswith("nenrin_query_waiters ")).split()[1]))

    async def waiting(self, count: int) -> None:
        """Wait until so many requests wait."""
        async with asyncio.timeout(30):
            while await asyncio.to_thread(self.waiters) != count:  # noqa: ASYNC110  # another process sets no event
                await asyncio.sleep(0.02)

    def until(self, condition: Any, within: float = 30.0) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + within
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def alive(self) -> bool:
        """Whether it answers at all."""
        try:
            return self.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def query(reader: str, folder: Path) -> Iterator[Query]:
    """Run the service until the end of the block; it must then end cleanly."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    settings = {"NENRIN_POSTGRES_READER": reader, "NENRIN_PORT": str(port), "NENRIN_DEVICE": "cpu"}
    log = folder / "query.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            launched((sys.executable, "-P", "-c", RUN)), env=environment(settings), stdout=output, stderr=output
        )
    service = Query(process, port, log)
    try:
        service.until(service.alive, within=60)
        yield service
    finally:
        process.terminate()
        status = process.wait(20)
    assert status == 0, log.read_text()


@pytest.fixture
def installed_reader(postgres: Databases) -> Databases:
    """A database in which Nenrin has just been installed."""
    asyncio.run(install(postgres.owner, WANTED))
    return postgres


def test_it_outlives_postgres(installed_reader: Databases, tmp_path: Path) -> None:
    """It starts without Postgres, says what is missing, answers 503, and recovers by itself; twice over."""
    gone = f"{installed_reader.reader}_gone"
    with query(gone, tmp_path) as service:
        ready = service.get("/readyz")
        assert (ready.status_code, list(ready.json()["missing"])) == (503, ["postgres"])
        away = service.get("/v1/collections")
        assert (away.status_code, away.headers["retry-after"]) == (503, "1")
        name = gone.rpartition("/")[2]
        execute(installed_reader.owner, f"CREATE DATABASE {name}")
        try:
            assert service.get("/v1/collections").status_code == 503  # nothing is installed there yet
            owner = installed_reader.owner + "_gone"
            asyncio.run(install(owner, WANTED))
            service.until(lambda: service.get("/v1/collections").status_code == 200)
            assert service.get("/readyz").status_code == 200
            rename(installed_reader.owner, name, f"{name}_aside")
            service.until(lambda: service.get("/v1/collections").status_code == 503)
            rename(installed_reader.owner, f"{name}_aside", name)
            service.until(lambda: service.get("/v1/collections").status_code == 200)
        finally:
            execute(installed_reader.owner, f"DROP DATABASE {name} WITH (FORCE)")


def rename(owner: str, database: str, name: str) -> None:
    """Take a database away, or bring it back, under everybody who is connected to it."""
    execute(owner, f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
    execute(owner, f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'")
    execute(owner, f"ALTER DATABASE {database} RENAME TO {name}")
    execute(owner, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


async def test_clients_come_and_go(installed_reader: Databases, tmp_path: Path) -> None:
    """Over the cap a reader is refused at once; one that hangs up frees its place; who stays is answered at the end."""
    with query(installed_reader.reader, tmp_path) as service:
        async with readers(service.port, WAITERS) as waiting, readers(service.port, 1) as (another,):
            for reader in waiting:
                reader.ask("/collections", nenrin_at_least=FAR, prefer="wait=30")
            await service.waiting(WAITERS)
            assert await backends(installed_reader) <= 20  # waiting holds none: 16 read, one listens
            began = time.monotonic()
            another.ask("/collections", nenrin_at_least=FAR, prefer="wait=30")
            refused = await another.answer()
            assert (refused.status, refused.headers["content-type"]) == (503, "application/problem+json")
            assert (json.loads(refused.body)["type"], refused.headers["retry-after"]) == (
                "/problems/too-many-waiters",
                "1",
            )
            assert refused.at - began < 5  # it did not wait; milliseconds where nothing else runs
            for reader in waiting[500:]:
                reader.close()
            await service.waiting(500)
            another.ask("/collections", nenrin_at_least=FAR, prefer="wait=30")
            await service.waiting(501)
            assert "error" not in service.log.read_text()
            answers = asyncio.gather(*(reader.answer() for reader in (*waiting[:500], another)))
            told_at = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            for answer in await answers:
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                assert json.loads(answer.body)["type"] == "/problems/stopping"
                assert answer.at - told_at < 10


async def backends(databases: Databases) -> int:
    """How many connections the service has."""
    connection = await asyncpg.connect(databases.owner)
    try:
        found: int = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
            "application_name LIKE 'nenrin query%'"
        )
        return found
    finally:
        await connection.close()

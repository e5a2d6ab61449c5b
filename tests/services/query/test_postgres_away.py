"""Postgres away: reads are refused soon, commands go on, and all is as before when it is back."""

import asyncio
import json
import os
import secrets
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from projections.control.install import install
from tests.running import Running, as_reader, execute, running, with_database
from tests.services.command.conftest import command, make_topic
from tests.services.query.conftest import WANTED
from tests.services.query.test_process import Query, query

WITHIN = 5.0
READERS = 20
"""More than the service has connections."""


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Servers of this module's own, to freeze and to kill."""
    with running(tmp_path_factory.mktemp("away"), "services.stack.dev") as program:
        yield program


@pytest.fixture(scope="module")
def reader(away: Running) -> str:
    """Reads a database with both projections, empty."""
    owner: str = away.endpoints["postgres"]
    execute(owner, "CREATE DATABASE away")
    password = json.loads((away.state / "passwords.json").read_text())["reader"]
    asyncio.run(install(with_database(owner, "away"), WANTED, password))
    return as_reader(owner, "away", password)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Postgres with all its backends stopped: it still takes connections, and never says a word."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    _signal(processes, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(processes, signal.SIGCONT)


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        process.send_signal(number)


def read(service: Query, count: int) -> list[httpx.Response]:
    """So many reads at once."""
    limits = httpx.Limits(max_connections=count)
    with httpx.Client(verify=False, timeout=40, limits=limits) as client, ThreadPoolExecutor(count) as readers:
        return list(readers.map(client.get, [f"http://127.0.0.1:{service.port}/v1/collections"] * count))


def refused(answers: list[httpx.Response], within: float) -> None:
    """See that each was refused as the contract has it, and soon."""
    assert {(answer.status_code, answer.json()["type"]) for answer in answers} <= {(503, "/problems/database-away")}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
    assert max((answer.elapsed.total_seconds() for answer in answers), default=0.0) < within


@pytest.mark.alone
def test_while_postgres_is_frozen_reads_are_refused_and_commands_go_on(
    away: Running, reader: str, tmp_path: Path
) -> None:
    """Those that wait for an answer get a 503 within five seconds, those behind them at once, and writes don't care."""
    kafka, prefix = away.endpoints["kafka"], f"p{secrets.token_hex(4)}."
    make_topic(kafka, prefix)
    with query(reader, tmp_path) as service, command(kafka, prefix, tmp_path, reader) as commands:
        service.until(lambda: service.get("/v1/collections").status_code == 200)
        commands.until_ready()
        read(service, READERS)
        with frozen(away.pids["postgres"]):
            refused(read(service, READERS), WITHIN)
            refused(read(service, READERS), 1.0)
            assert service.get("/readyz").json()["missing"].keys() == {"postgres"}
            assert commands.put("a", {"text": ""}).status_code == 202
            assert commands.ready().status_code == 200
            assert commands.ready().elapsed.total_seconds() < 2
        service.until(lambda: service.get("/v1/collections").status_code == 200, within=WITHIN)


@pytest.mark.alone
def test_a_killed_postgres_is_noticed_at_once(away: Running, reader: str, tmp_path: Path) -> None:
    """Nobody waits for a connection that is refused; the service finds the next server by itself."""
    with query(reader, tmp_path) as service:
        service.until(lambda: service.get("/v1/collections").status_code == 200)
        os.kill(away.pids["postgres"], signal.SIGKILL)
        answers = read(service, READERS)
        refused([answer for answer in answers if answer.status_code != 200], WITHIN)
        service.until(lambda: service.get("/v1/collections").status_code == 200)

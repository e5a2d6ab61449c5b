"""The demonstration service, as a process."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from services.stack.program import launched


@dataclass(frozen=True)
class Demonstration:
    """A running service."""

    process: "subprocess.Popen[bytes]"
    port: int

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def demonstration(log: Path) -> Iterator[Demonstration]:
    """Run it until the end of the block."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            launched((sys.executable, "-m", "tests.web.demonstration", str(port))), stdout=output, stderr=output
        )
    service = Demonstration(process, port)
    try:
        _wait(service, log)
        yield service
    finally:
        process.kill()
        process.wait()


def _wait(service: Demonstration, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert service.process.poll() is None, log.read_text()
        try:
            httpx.get(service.url + "/healthz")
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demonstration]:
    """One for all tests of a module."""
    with demonstration(tmp_path_factory.mktemp("web") / "log") as service:
        yield service

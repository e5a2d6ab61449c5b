"""An embedder as a process of its own."""

import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.running import environment
from tests.services.embedder.derived_log import PARTITIONS


class Process:
    """One embedder; its log is kept in a file, and what it encoded in the state folder."""

    def __init__(self, kafka: str, prefix: str, log: Path, state: Path) -> None:
        self.log = log
        self._port = free_port()
        settings = {
            "NENRIN_KAFKA": kafka,
            "NENRIN_TOPIC_PREFIX": prefix,
            "NENRIN_PARTITIONS": str(PARTITIONS),
            "NENRIN_STATE": str(state),
            "NENRIN_METRICS_PORT": str(self._port),
            "NO_COLOR": "1",
        }
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "nenrin", "embedder"],
                stdout=output,
                stderr=output,
                env=environment(settings),
            )

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace")

    def passages(self) -> tuple[int, int]:
        """How many passages it has encoded, and how many it knew the vectors of."""
        text = httpx.get(f"http://127.0.0.1:{self._port}/metrics", timeout=10).text
        counts = dict(re.findall(r"^nenrin_embedder_(passages\w*)_total ([\d.e+]+)$", text, re.MULTILINE))
        return int(float(counts["passages"])), int(float(counts["passages_reused"]))

    def kill(self) -> None:
        """End it without a chance to finish anything."""
        self.popen.kill()
        self.popen.wait()

    def ended(self, within: float = 60.0) -> int:
        """Its exit status."""
        return self.popen.wait(within)


Start = Callable[[], Process]


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

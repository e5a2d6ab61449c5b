"""Nenrin's own processes as the stack runs them: `python -m nenrin NAME`, configured by their environment."""

import functools
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from services.stack.ports import LOOPBACK, Ports
from services.stack.probes import http_answers
from services.stack.program import Program, survives

SERVICES = ("command", "embedder", "projector", "heads", "query")


@dataclass(frozen=True)
class PythonServices:
    """What the processes of one stack have in common."""

    state: Path
    ports: Ports
    partitions: int
    kafka: str
    postgres: str
    postgres_reader: str

    def program(self, name: str) -> Program:
        """The process `name`: a service, or another instance of one, such as `embedder-2`."""
        service, _, _ = name.partition("-")
        port: int | None = getattr(self.ports, service, None)
        return Program(
            name=name,
            command=self.command(service),
            environment=self.environment() | ({"NENRIN_PORT": str(port)} if port else {}),
            folder=self.state,
            url=f"http://{LOOPBACK}:{port}" if port else "",
            answers=functools.partial(http_answers, port, "/readyz") if port else survives,
        )

    def command(self, *arguments: str) -> tuple[str, ...]:
        """A command of Nenrin's own; `-P` keeps the current folder from shadowing a module."""
        return (sys.executable, "-P", "-m", "nenrin", *arguments)

    def environment(self) -> dict[str, str]:
        """The user's environment with this stack in it.

        Without PYTHONDONTWRITEBYTECODE, which makes every start of every process compile everything again.
        """
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return inherited | {
            "NENRIN_KAFKA": self.kafka,
            "NENRIN_POSTGRES": self.postgres,
            "NENRIN_POSTGRES_READER": self.postgres_reader,
            "NENRIN_PARTITIONS": str(self.partitions),
            "NENRIN_STATE": str(self.state),
            "NENRIN_HOST": LOOPBACK,
            "PYTHONUNBUFFERED": "1",
        }

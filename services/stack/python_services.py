"""Nenrin's own processes as the stack runs them: `python -m nenrin NAME`, configured by their environment."""

import functools
import os
import sys
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

from services.stack.ports import LOOPBACK, Ports, free_ports
from services.stack.probes import http_answers
from services.stack.program import Program

SERVICES = ("command", "embedder", "projector", "heads", "query")


NICE = {"embedder": 5}
"""Encoding takes every core that there is: on one machine, those who write and ask go first."""


def service_of(name: str) -> str:
    """The service that a process is an instance of: `embedder-2` is one of `embedder`."""
    return name.partition("-")[0]


@dataclass(frozen=True)
class PythonServices:
    """What the processes of one stack have in common."""

    state: Path
    ports: Ports
    partitions: int
    kafka: str
    postgres: str
    postgres_reader: str
    _given: set[int] = field(default_factory=set, init=False)

    def embedder(self, name: str, encoder: str, *, backfill: bool) -> Program:
        """The process `name`, an embedder that embeds with `encoder`; one that has to backfill gives way meanwhile."""
        program = self.program(name)
        settings = {"NENRIN_ENCODER": encoder, "NENRIN_BACKFILL": "1" if backfill else ""}
        return replace(program, environment={**program.environment, **settings}, about=encoder)

    def program(self, name: str) -> Program:
        """The process `name`: a service, or another instance of one, such as `embedder-2`."""
        port: int = getattr(self.ports, name, 0) or self._another_port()
        if hasattr(self.ports, service_of(name)):
            return self._answering(name, port, "NENRIN_PORT", f"http://{LOOPBACK}:{port}")
        return self._answering(name, port, "NENRIN_METRICS_PORT")

    def _answering(self, name: str, port: int, variable: str, url: str = "") -> Program:
        """The process `name`, which is ready when `/readyz` at its port says so."""
        return Program(
            name=name,
            command=self.command(service_of(name)),
            environment=self.environment() | {variable: str(port)},
            folder=self.state,
            answers=functools.partial(http_answers, port, "/readyz"),
            url=url,
            metrics=f"http://{LOOPBACK}:{port}/metrics",
            nice=NICE.get(service_of(name), 0),
        )

    def _another_port(self) -> int:
        """A port that no other process of the stack has been given, even if nobody listens there yet."""
        port = next(port for port in free_ports() if port not in {*astuple(self.ports), *self._given})
        self._given.add(port)
        return port

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
            "NENRIN_KAFKA_DATA": str(self.state / "kafka" / "data"),
            "NENRIN_POSTGRES_DATA": str(self.state / "postgres"),
            "NENRIN_HOST": LOOPBACK,
            "PYTHONUNBUFFERED": "1",
        }

"""Ports on this machine, chosen once for the life of a stack."""

import random
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.stack.errors import PortTaken

LOOPBACK = "127.0.0.1"
# Below the range that kernels hand out to outgoing connections, so that a port stays ours while its process restarts.
FREE_RANGE = range(15000, 32000)


@dataclass(frozen=True)
class Ports:
    """Where each server of the stack listens."""

    command: int = 8080
    query: int = 8081
    kafka: int = 9092
    controller: int = 9093
    postgres: int = 5433

    @classmethod
    def free(cls) -> "Ports":
        """Ports that nobody uses now."""
        free = free_ports()
        return cls(*(next(free) for _ in range(5)))

    def check(self, names: Iterable[str]) -> None:
        """Raise `PortTaken` for the first of these that another program holds."""
        for name in names:
            port: int = getattr(self, name)
            if is_taken(port):
                raise PortTaken(
                    f"port {port}, meant for {name}, is in use by another program:"
                    " end that program, or start with --free-ports"
                )


def free_ports() -> Iterator[int]:
    """Ports that nobody uses now, in no order."""
    for port in random.SystemRandom().sample(FREE_RANGE, len(FREE_RANGE)):
        if not is_taken(port):
            yield port


def is_taken(port: int) -> bool:
    """True when binding fails, as it will for the process that is meant to listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False

"""`nenrin` in processes of their own, which a server forks that has imported everything: they can be killed cheaply."""

import io
import os
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection

from services.replay.workers import LITTLE
from services.settings import Settings
from tests.running import environment

_FORKING = get_context("forkserver")
_FORKING.set_forkserver_preload(["tests.replay.commands", "nenrin.cli.rebuilding", "nenrin.cli.promoting"])


def _main(arguments: Sequence[str], told: dict[str, str], out: Connection, err: Connection, little: int) -> None:
    from nenrin.cli.app import main  # noqa: PLC0415  (in the child)
    from services.replay import workers  # noqa: PLC0415

    workers.LITTLE = little

    os.environ.clear()
    os.environ.update(told)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(os.fdopen(1, "wb")),
        io.TextIOWrapper(os.fdopen(2, "wb", 0), write_through=True),
    )
    out.close()
    err.close()
    try:
        main(arguments)
    finally:
        sys.stdout.flush()


class Command:
    """A `nenrin` that runs; what it says on stderr is read while it does. `little` as in `services.replay.workers`."""

    def __init__(self, settings: Settings, *arguments: str, little: int = LITTLE) -> None:
        told = environment({
            "NENRIN_KAFKA": settings.kafka,
            "NENRIN_POSTGRES": settings.dsn,
            "NENRIN_TOPIC_PREFIX": settings.topic_prefix,
            "NENRIN_PARTITIONS": str(settings.partitions),
            "NO_COLOR": "1",
        })  # fmt: skip
        (self._out, out), (self._err, err) = _FORKING.Pipe(duplex=False), _FORKING.Pipe(duplex=False)
        self.process = _FORKING.Process(target=_main, args=(arguments, told, out, err, little), daemon=True)
        self.process.start()
        out.close()
        err.close()
        self._lines = os.fdopen(os.dup(self._err.fileno()), encoding="utf-8")
        self.said = ""

    def until(self, words: str) -> bool:
        """Read until a line has these words; False: it ended without."""
        for line in self._lines:
            self.said += line
            if words in line:
                return True
        return False

    def end(self) -> tuple[int, str]:
        """Wait for its end; its exit status, and what it printed."""
        self.said += self._lines.read()
        with os.fdopen(os.dup(self._out.fileno()), encoding="utf-8") as printed:
            out = printed.read()
        self.process.join(60)
        assert self.process.exitcode is not None, self.said
        return self.process.exitcode, out

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.end()


def run(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    """Run a command: exit status, stdout, stderr."""
    command = Command(settings, *arguments)
    status, out = command.end()
    return status, out, command.said

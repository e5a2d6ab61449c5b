"""What the stack keeps in its state folder beside the data: the lock, the endpoints, and the record of a run."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from services.stack.errors import AlreadyRunning

LOCK_TRIES = 5


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[str]]:
    """A file that takes the place of `path` whole, when it is finished; only its owner may read it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.touch(mode=0o600)
        with unfinished.open("w") as file:
            yield file
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class StateFolder:
    """The layout of a state folder."""

    path: Path

    @property
    def endpoints(self) -> Path:
        """Where clients look for a running stack."""
        return self.path / "endpoints.json"

    @property
    def metrics(self) -> Path:
        """Where each process shows its metrics, for a Prometheus."""
        return self.path / "metrics.json"

    @property
    def record(self) -> Path:
        """The processes of the present or the last run."""
        return self.path / "run.json"

    @property
    def passwords(self) -> Path:
        """The secrets of the embedded Postgres."""
        return self.path / "passwords.json"

    def log(self, name: str) -> Path:
        """The log file of one process."""
        return self.path / "logs" / f"{name}.log"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one supervisor; the kernel lets go of it however that one ends."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("a+") as file:
            if not _taken(file):
                file.seek(0)
                raise AlreadyRunning(
                    f"{self.path} is in use by process {file.read().strip() or 'unknown'}:"
                    " stop that one, or choose another folder with --state"
                )
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def write(self, path: Path, content: Mapping[str, Any]) -> None:
        """Replace a file of the folder with this JSON, at once."""
        with replacing(path) as file:
            json.dump(content, file, indent=2)
            file.write("\n")


def _taken(lock: IO[str]) -> bool:
    """Whether we have the lock now. A client that looks whether a stack runs may hold it for a moment."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False

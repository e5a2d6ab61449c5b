"""Running one of Nenrin's processes, against the servers that the environment or a state folder names."""

import contextlib
import json
import logging
import sys
from importlib import import_module
from pathlib import Path
from typing import TextIO, cast
from urllib.parse import urlsplit, urlunsplit

import structlog
from pydantic import SecretStr

from nenrin.cli.endings import NoStack
from nenrin.cli.running import EMBEDDED_PARTITIONS, in_folder, state_folder
from schemas.errors import NenrinError
from services.settings import Settings


def run(name: str, state: Path | None) -> None:
    """Run the process `name` until it ends: `services.<name>.run(settings)`."""
    settings = settings_for(state)
    log_to_stderr(settings.log_level)
    try:
        import_module(f"services.{name}").run(settings)
    except NenrinError:
        raise
    except Exception:
        # a process of its own is read by its log: there a traceback belongs
        structlog.get_logger().exception("unexpected error", service=name)
        raise


def init(state: Path | None) -> None:
    """Prepare Kafka and Postgres."""
    import_module("services.init").run(settings_for(state))


def settings_for(state: Path | None) -> Settings:
    """The settings of the stack in a state folder; the environment's, when that names servers and nobody a folder."""
    settings = Settings.load()
    if state is None and settings.model_fields_set & {"kafka", "postgres"}:
        return settings
    state = state_folder(state)
    stack = in_folder(state)
    if not (stack.kafka and stack.postgres):
        raise NoStack(f"{state}/endpoints.json names no Kafka and Postgres: is it the state folder of `nenrin up`?")
    there = {
        "kafka": stack.kafka,
        "postgres": SecretStr(stack.postgres),
        "postgres_reader": SecretStr(_as_reader(stack.postgres, state)),
        "partitions": settings.partitions if "partitions" in settings.model_fields_set else EMBEDDED_PARTITIONS,
    }
    return settings.model_copy(update=there)


def _as_reader(dsn: str, state: Path) -> str:
    """The address of the same database for the role that can only select."""
    password = json.loads((state / "passwords.json").read_text())["reader"]
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"nenrin_reader:{password}@{parts.hostname}:{parts.port}"))


class Unfailing:
    """A stream that drops what it can't write: a log on a full disk, or a closed one, must not end what it tells of."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, or don't."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """See that it is written, or don't."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def log_to_stderr(level: str) -> None:
    """Have what our processes log go there, from this level on."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, Unfailing(sys.stderr))),
        cache_logger_on_first_use=True,
    )

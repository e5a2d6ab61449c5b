"""`nenrin up`."""

from pathlib import Path

from nenrin.cli.running import EMBEDDED_PARTITIONS, state_folder
from services.settings import Settings
from services.stack.up import run


def up(state: Path | None, free_ports: bool) -> int:
    """Keep the embedded stack up until a signal asks for its end; returns the exit status."""
    settings = Settings.load()
    chosen = "partitions" in settings.model_fields_set
    partitions = settings.partitions if chosen else EMBEDDED_PARTITIONS
    return run(state_folder(state), free_ports=free_ports, partitions=partitions)

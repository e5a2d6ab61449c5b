"""`nenrin up`."""

from collections.abc import Sequence
from pathlib import Path

import typer

from nenrin.cli.running import EMBEDDED_PARTITIONS, state_folder
from services.settings import Settings
from services.stack.errors import BadScale
from services.stack.scale import scaled
from services.stack.up import run


def up(state: Path | None, free_ports: bool, scale: Sequence[str]) -> int:
    """Keep the embedded stack up until a signal asks for its end; returns the exit status."""
    settings = Settings.load()
    chosen = "partitions" in settings.model_fields_set
    partitions = settings.partitions if chosen else EMBEDDED_PARTITIONS
    return run(state_folder(state), free_ports=free_ports, partitions=partitions, services=services_of(scale))


def services_of(scale: Sequence[str]) -> Sequence[str]:
    """What runs beside Kafka and Postgres, scaled as the command line asks for."""
    try:
        return scaled(scale)
    except BadScale as refusal:
        raise typer.BadParameter(str(refusal), param_hint="--scale") from refusal

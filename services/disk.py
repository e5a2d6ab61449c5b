"""How much room a disk has left: a full one breaks its writers in many ways, and few of them say why."""

import shutil
from pathlib import Path

MIB = 1024 * 1024

LOW = 32 * MIB
"""Two segments of Postgres' write-ahead log: with less it may not be able to make the next one."""


def shortage(folder: Path | None) -> str:
    """How little is left on a folder's disk, and what to do; "" while that is enough, or can't be told."""
    try:
        free = LOW if folder is None else shutil.disk_usage(folder).free
    except OSError:
        return ""
    if free >= LOW:
        return ""
    return f"the disk of {folder} is full ({free / MIB:.1f} MiB left): free some space there"

"""Which encoder answers questions here: the graph that is kept, else one that is made now, else torch."""

import subprocess
import sys
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from encoders.encoder import TextEncoder
from encoders.exported import GraphEncoder, UnusableGraph, places, readable
from encoders.folder import check, config, is_bert, packaged
from schemas.encoders import MINILM, Encoder

EXPORT_WITHIN = 120.0

log = structlog.get_logger()


class QuestionsToVectors(Protocol):
    """What a query service asks of an encoder."""

    def describe(self) -> str:
        """One line for the start of a log."""

    def encode_query(self, text: str) -> NDArray[np.float32]:
        """The vector of a question: (dimensions,) of float32, of length 1."""


def load(encoder: Encoder = MINILM, device: str = "auto", folder: Path | None = None) -> QuestionsToVectors:
    """Load it, in 0.5 s where a graph is kept; `device` is torch's, a graph runs on the CPU.

    Raises `encoders.folder.UnusableModel` if the folder holds another model than the one named.
    """
    folder = folder or packaged(encoder)
    check(folder, encoder)
    try:
        return kept(encoder, folder) or made(encoder, folder)
    except UnusableGraph as error:
        log.warning("questions are encoded by torch: slower, and in more memory", reason=str(error))
        return TextEncoder(encoder, device, folder, threads=1)


def kept(encoder: Encoder, folder: Path) -> GraphEncoder | None:
    """The first graph that is there and gives torch's vectors."""
    for place in readable(places(encoder, folder)):
        try:
            return GraphEncoder(encoder, folder, place)
        except UnusableGraph as error:
            log.warning("a kept graph can't be used", reason=str(error))
    return None


def made(encoder: Encoder, folder: Path) -> GraphEncoder:
    """A new graph, made in a process of its own: the memory that torch takes goes with it. About 5 s, once."""
    if not is_bert(folder):
        raise UnusableGraph(
            f"there is no graph for models of type {config(folder).get('model_type')}, nor of many files"
        )
    log.info("exporting the query encoder's graph, once", encoder=encoder.name)
    command = [sys.executable, "-P", "-m", "encoders.export", str(folder), msgspec.json.encode(encoder).decode()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=EXPORT_WITHIN, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnusableGraph(f"exporting it: {error}") from error
    if done.returncode:
        raise UnusableGraph(done.stderr.strip().rpartition("\n")[2])
    return GraphEncoder(encoder, folder, Path(done.stdout.strip()))

"""Whether a model can be computed here, found out before anything is made for it: `python -m encoders.proving`."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from encoders.chunking import Piece
from encoders.encoder import TextEncoder
from encoders.export import export
from encoders.exported import UnusableGraph, places, readable
from encoders.folder import UnusableModel
from schemas.encoders import Encoder

_PROBES = ("How old is the oak?", "Rain fell on the hills for nine days in a row, and the river rose. " * 200)


def prove(encoder: Encoder, folder: Path, device: str) -> None:
    """Load the model, and encode a short passage and one that fills it. Raises `UnusableModel`."""
    try:
        vectors = _vectors(TextEncoder(encoder, device, folder, threads=1))
    except UnusableModel:
        raise
    except Exception as error:  # whatever torch and transformers make of somebody's files
        raise UnusableModel(f"the model in {folder} can't be computed here: {type(error).__name__}: {error}") from error
    lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)
    if not np.allclose(lengths, 1, atol=0.01) or np.array_equal(vectors[0], vectors[1]):
        raise UnusableModel(f"the model in {folder} gives no vectors of use: of lengths {lengths.round(3).tolist()}")


def _vectors(model: TextEncoder) -> NDArray[Any]:
    pieces: list[Piece] = [passages[0] for passages in model.prepare(_PROBES)]
    return model.encode(pieces)


def keep_graph(encoder: Encoder, folder: Path) -> None:
    """Make what encodes questions, if it can be: query services that find it need no time of their own for it."""
    with suppress(UnusableGraph, ImportError, OSError):
        if not readable(places(encoder, folder)):
            export(encoder, folder)


def main(arguments: Sequence[str]) -> None:
    """Prove the model in a folder, as the encoder of these settings in JSON, on a device."""
    folder, settings, device = arguments
    encoder = msgspec.json.decode(settings, type=Encoder)
    try:
        prove(encoder, Path(folder), device)
    except (UnusableModel, ImportError) as error:
        sys.exit(" ".join(str(error).split()))
    keep_graph(encoder, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])

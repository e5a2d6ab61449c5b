"""Makes the graph that encodes questions: `python -m encoders.export`, a part of `make setup`.

It is kept only if its vectors are torch's. That takes torch and some seconds, so it happens once, in a process of its
own; several may do it at once.
"""

import base64
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from encoders.exported import KEPT, PROBES, Network, UnusableGraph, compare, places
from encoders.folder import WEIGHTS, UnusableModel, check, config, is_bert, packaged
from encoders.tokens import Tokens
from encoders.weights import Weights
from schemas.encoders import MINILM, Encoder


def export(encoder: Encoder, folder: Path) -> Path:
    """Make the graph of the model in `folder`, check it, and keep it; say where.

    Raises `UnusableModel` if the folder holds another model than the one named, and `UnusableGraph` if there is no
    graph for this kind of model, no place to keep it, or its vectors aren't torch's.
    """
    check(folder, encoder)
    if not is_bert(folder):
        raise UnusableGraph(
            f"there is no graph for models of type {config(folder).get('model_type')}, nor of many files"
        )
    place = _writable(places(encoder, folder))
    tokens = Tokens(folder, encoder)
    questions = [tokens.question(text) for text in PROBES]
    graph = build(encoder, folder, torch_vectors(encoder, folder, questions))
    network = Network(graph, Weights(folder / WEIGHTS))
    compare(np.stack([network(ids) for ids in questions]), network.kept().reshape(len(PROBES), -1))
    _keep(place, graph)
    return place


def build(encoder: Encoder, folder: Path, probes: NDArray[np.float32]) -> bytes:
    """The file's content, not yet checked; `probes` are the vectors to check it by."""
    from encoders import graph  # noqa: PLC0415  (imports onnx)

    try:
        model = graph.bert(config(folder), encoder.pooling, Weights(folder / WEIGHTS).tensors)
    except KeyError as missing:
        raise UnusableGraph(f"{folder / WEIGHTS} has no float32 tensor {missing}") from None
    model.metadata_props.add(key=KEPT, value=base64.b64encode(probes.astype("<f4").tobytes()).decode())
    return bytes(model.SerializeToString())


def torch_vectors(encoder: Encoder, folder: Path, questions: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
    """What torch gives on a CPU for token ids."""
    from encoders.model import Model  # noqa: PLC0415  (imports torch)

    model = Model(folder, encoder, "cpu")
    return np.concatenate([model([ids]) for ids in questions])


def _writable(places: Sequence[Path]) -> Path:
    for place in places:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place.parent):
                return place
        except OSError:
            continue
    raise UnusableGraph(f"{' and '.join(str(place.parent) for place in places)}: no place that can be written")


def _keep(place: Path, graph: bytes) -> None:
    """Put the whole file there at once: whoever looks meanwhile finds the old one, the new one, or none."""
    unfinished = place.with_name(f"{place.name}.{os.getpid()}")
    unfinished.write_bytes(graph)
    unfinished.replace(place)


def main(arguments: Sequence[str]) -> None:
    """Export the default encoder, or the one given as a folder and its settings in JSON."""
    folder = Path(arguments[0]) if arguments else packaged(MINILM)
    encoder = msgspec.json.decode(arguments[1], type=Encoder) if arguments else MINILM
    try:
        print(export(encoder, folder))
    except (UnusableGraph, UnusableModel, ImportError, OSError) as error:
        sys.exit(f"the graph of {encoder.name} could not be made: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])

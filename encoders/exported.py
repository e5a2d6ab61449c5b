"""Questions to vectors by an ONNX graph: torch's vectors in two thirds of the time, without torch in the process.

`encoders.export` makes the graph and checks it against torch. Torch's vectors of `PROBES` are kept in its file, so
that whoever loads it holds it against them once more: a file that was damaged or replaced is not used.
"""

import base64
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders import pages
from encoders.folder import WEIGHTS
from encoders.tokens import Tokens
from encoders.weights import Weights
from schemas.encoders import Encoder

PROBES = (
    "",
    "a",
    "How old is the oak?",
    "What did the narrow rings of the years 1540 and 1816 say about the weather in Europe?",
    "年輪は木の一年ごとの成長を示すものである。",
    "كل حلقة تمثل سنة واحدة من النمو؟ טבעות העץ 🌲",
    " ".join(f"In the year {year} rain fell on {year % 97} days." for year in range(1000, 1006)),
    " ".join(f"Ring {number} is {number * 7919 % 1000} micrometres wide," for number in range(60)),
)
"""Texts of every length, up to the whole window and beyond, in several scripts."""
FARTHEST = 0.014
"""Between two vectors of length 1: a cosine of 0.9999."""
KEPT = "nenrin.probes"
"""Where a graph's metadata has the vectors of the probes: base64 of little-endian float32, one after the other."""


class UnusableGraph(Exception):
    """A graph is missing or damaged, gives other vectors than torch, or can't be made here."""


class GraphEncoder:
    """A kept graph, the model's own weights, and its tokenizer. One thread, one core."""

    def __init__(self, encoder: Encoder, folder: Path, graph: Path) -> None:
        """Load and check, in about 0.3 s; the model in `folder` must be the one that `encoder` names.

        Raises `UnusableGraph`.
        """
        self.encoder = encoder
        self._tokens = Tokens(folder, encoder)
        self._description = f"{encoder.name} on cpu, float32, the graph {graph}"
        try:
            self._network = Network(graph.read_bytes(), Weights(folder / WEIGHTS))
            expected = self._network.kept().reshape(len(PROBES), encoder.dimensions)
            compare(self.encode_queries(PROBES), expected)
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise UnusableGraph(f"{graph}: {type(error).__name__}: {error}") from error
        pages.collapse()

    def describe(self) -> str:
        """One line for the start of a log."""
        return self._description

    def encode_query(self, text: str) -> NDArray[np.float32]:
        """Encode what a reader asks, as far as the window reaches: (dimensions,) of float32."""
        return self._network(self._tokens.question(text))

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode several, one after the other: (n, dimensions) of float32."""
        return np.stack([self.encode_query(text) for text in texts])


class Network:
    """A graph at work: token ids of one text, special ones included, to its vector. Thread-safe."""

    def __init__(self, graph: bytes, weights: Weights) -> None:
        import onnxruntime  # noqa: PLC0415  (0.3 s; whoever only needs the types doesn't wait for it)

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._weights = weights  # the session reads them where they lie
        self._values = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for name, tensor in weights.tensors.items()
        }
        options.add_external_initializers(list(self._values), list(self._values.values()))
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        weights.unload()  # it has its own copy of what it multiplies by

    def __call__(self, ids: NDArray[np.int32]) -> NDArray[np.float32]:
        vector: NDArray[np.float32] = self._session.run(["vector"], {"ids": ids.astype(np.int64)})[0]
        return vector

    def kept(self) -> NDArray[np.float32]:
        """What torch gave for `PROBES` when the graph was made, all in one line."""
        metadata = self._session.get_modelmeta().custom_metadata_map
        return np.frombuffer(base64.b64decode(metadata[KEPT]), dtype="<f4")


def compare(ours: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Raise `UnusableGraph` unless each vector is torch's, up to a cosine of 0.9999."""
    distance = float(np.linalg.norm(ours - expected, axis=1).max())
    if not distance <= FARTHEST:  # nor if it is no number
        raise UnusableGraph(f"its vectors lie up to {distance:.3f} from torch's, {FARTHEST} is allowed")


def places(encoder: Encoder, folder: Path) -> list[Path]:
    """Where an encoder's graph may lie: beside its model, or in the user's cache where that can't be written."""
    return [place / f"{encoder.name}.onnx" for place in (folder / "onnx", *_caches())]


def readable(places: Sequence[Path]) -> list[Path]:
    """Those where something lies; none where this user may not even look."""
    return [place for place in places if os.access(place, os.R_OK)]


def _caches() -> Iterator[Path]:
    with suppress(RuntimeError):  # a user without a home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "nenrin")

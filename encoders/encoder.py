"""Texts to passages to vectors, in the thread of whoever calls.

Importing this is cheap; constructing a `TextEncoder` imports torch and loads the model, about two seconds.
"""

import gc
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.batching import batches
from encoders.chunking import Piece, passages, sentences
from encoders.folder import packaged
from encoders.tokens import Tokens
from schemas.encoders import MINILM, Encoder

_CPU_BUDGET = 1024
"""Padded tokens in a batch. Measured: from 1,024 to 4,096 a core is equally fast, and the least of them pads least."""
_CUDA_BUDGET = 65_536


def _threads(most: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(most, thread_name_prefix="encode")


class TextEncoder:
    """One encoder's model and tokenizer on one device.

    Blocks, so that it belongs in a thread; the tokenizer and torch let go of the GIL while they work.
    A CPU is used by as many threads as it has cores, each with a batch of its own: a third faster than one
    batch on all cores, and not held up when another process needs one of them.
    """

    def __init__(
        self,
        encoder: Encoder = MINILM,
        device: str = "auto",
        folder: Path | None = None,
        threads: int | None = None,
        workers: Callable[[int], ThreadPoolExecutor] = _threads,
    ) -> None:
        """Load the model that `encoder` names from `folder`, or from its package if it has one.

        `workers` makes a pool of so many threads, that batches are encoded in.

        Raises `encoders.folder.UnusableModel` if the folder holds another model.
        """
        import torch  # noqa: PLC0415  (takes 1.5 s; whoever only needs the types doesn't wait for it)

        from encoders.model import Model  # noqa: PLC0415

        folder = folder or packaged(encoder)
        self.encoder = encoder
        self._model = Model(folder, encoder, device)
        self._tokens = Tokens(folder, encoder)
        self.device = str(self._model.device)
        self._budget = _CUDA_BUDGET if self.device == "cuda" else _CPU_BUDGET
        self._threads = 1 if self.device == "cuda" else threads or _cores()
        torch.set_num_threads(1)
        self._workers = workers(self._threads)
        self.slice_tokens = 8 * self._threads * self._budget
        """Tokens worth handing to `encode` in one call: enough to batch with little padding, about a second of work."""
        self._description = f"{encoder.name} on {self.device}, {self._model.precision}, {self._threads} at a time"
        gc.freeze()  # torch's 180,000 objects: to look at them again would hold up every thread for 100 ms

    def describe(self) -> str:
        """One line for the start of a log."""
        return self._description

    def prepare(self, texts: Sequence[str]) -> list[list[Piece]]:
        """Cut each text into passages; a text of nothing but space has none."""
        spans = [sentences(text, self.encoder.characters) for text in texts]
        cut = [text[span.start : span.end] for text, found in zip(texts, spans, strict=True) for span in found]
        tokenised = self._tokens.sentences(cut)
        return [
            passages(text, found, [next(tokenised) for _ in found], self.encoder)
            for text, found in zip(texts, spans, strict=True)
        ]

    def encode(self, pieces: Sequence[Piece]) -> NDArray[np.float16]:
        """Encode any passages of any texts: (n, dimensions) of little-endian float16, in the order given."""
        vectors = np.empty((len(pieces), self.encoder.dimensions), dtype="<f2")
        groups = batches([len(piece.tokens) for piece in pieces], self._budget)
        groups.reverse()  # the longest first: no thread is left alone with a large batch at the end
        inputs = ([self._tokens.framed(pieces[index].tokens) for index in group] for group in groups)
        for group, encoded in zip(groups, self._workers.map(self._model, inputs), strict=True):
            vectors[group] = encoded
        return vectors

    def go_on_in(self, workers: Callable[[int], ThreadPoolExecutor]) -> None:
        """Encode in another pool from the next call on; the threads of the one before end with what they have."""
        self._workers = workers(self._threads)

    def encode_query(self, text: str) -> NDArray[np.float32]:
        """Encode what a reader asks, as far as the window reaches: (dimensions,) of float32."""
        vector: NDArray[np.float32] = self._model([self._tokens.question(text)])[0]
        return vector


def _cores() -> int:
    """The cores that this process may use, which in a container can be fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

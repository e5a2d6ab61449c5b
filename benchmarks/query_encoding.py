"""A question to its vector on one core: the kept graph, against sentence-transformers and our own torch.

    python -m benchmarks.query_encoding

All three encode each question in turn, so that they see the same machine.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import corpus, hardware
from benchmarks.reporting import Figure, quantile, show
from encoders import questions
from encoders.encoder import TextEncoder
from encoders.folder import packaged
from schemas.encoders import MINILM

QUESTIONS = 200
WORDS = 10
WARM = 20
MARK = 3.5
"""Milliseconds, where torch takes 6 to 7."""

Encode = Callable[[str], Any]


def measure() -> list[Figure]:
    """The table's line."""
    texts = [question(passage) for passage in corpus.passages(QUESTIONS + WARM)]
    graph = questions.load(MINILM, "cpu")
    with one_core():
        found = medians([graph.encode_query, sentence_transformers(), TextEncoder(MINILM, "cpu").encode_query], texts)
        nothing_else = medians([graph.encode_query], texts)
    return [
        Figure(
            f"a question of {WORDS} words to its vector, one core, p50",
            f"{nothing_else[0]:.1f} ms (in turn with the others {found[0]:.1f})",
            f"sentence-transformers {found[1]:.1f} ms, our torch {found[2]:.1f}",
            f"{MARK} ms",
            nothing_else[0] <= MARK,
        )
    ]


def question(passage: str) -> str:
    """The first plain words of a text: about as many tokens as words, as in a question that people ask."""
    return " ".join([word for word in passage.split() if word.isalpha()][:WORDS])


def sentence_transformers() -> Encode:
    """The model as its own library runs it, with one thread."""
    import torch  # noqa: PLC0415  (only these need it)
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    torch.set_num_threads(1)
    model = SentenceTransformer(str(packaged(MINILM)), device="cpu", local_files_only=True)
    return lambda text: model.encode(text, show_progress_bar=False, normalize_embeddings=True)


def medians(encoders: list[Encode], texts: list[str]) -> list[float]:
    """The median milliseconds of each, after a few to warm up."""
    taken: list[list[float]] = [[] for _ in encoders]
    for text in texts:
        for encode, times in zip(encoders, taken, strict=True):
            began = time.perf_counter()
            encode(text)
            times.append((time.perf_counter() - began) * 1000)
    return [quantile(times[WARM:], 0.5) for times in taken]


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this thread on one core, where the system lets us."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


if __name__ == "__main__":
    show("Encoding questions", hardware.describe(), measure())

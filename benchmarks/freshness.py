"""Freshness: from an acknowledged PUT to a reader that waited for it, against the time that encoding takes alone."""

import time

import httpx

from benchmarks import corpus
from benchmarks.reporting import Figure, quantile
from encoders.encoder import TextEncoder
from schemas.encoders import MINILM

WRITES = 200


def visible_after(command: str, query: str, texts: list[str]) -> list[float]:
    """Seconds from each acknowledgement until a search that waits for the write has answered."""
    seconds = []
    with httpx.Client(timeout=60) as client:
        for number, text in enumerate(texts):
            put = client.put(
                f"{command}/v1/collections/fresh/documents/{number}", json={"text": text}
            ).raise_for_status()
            acknowledged = time.perf_counter()
            search = client.post(
                f"{query}/v1/collections/fresh/search",
                json={"query": text[:40], "mode": "text", "k": 1},
                headers={"Nenrin-At-Least": put.headers["Nenrin-Version"], "Prefer": "wait=10"},
            )
            search.raise_for_status()
            seconds.append(time.perf_counter() - acknowledged)
    return seconds


def encoding(texts: list[str]) -> list[float]:
    """Seconds that the encoder alone takes for each text, one at a time."""
    encoder = TextEncoder(MINILM)
    seconds = []
    for text in texts:
        started = time.perf_counter()
        (pieces,) = encoder.prepare([text])
        encoder.encode(pieces)
        seconds.append(time.perf_counter() - started)
    return seconds


def measure(command: str, query: str) -> list[Figure]:
    """The table's lines."""
    texts = corpus.passages(WRITES + 10)
    fresh = visible_after(command, query, texts)[10:]
    alone = quantile(encoding(texts)[10:], 0.5)
    middle, worst = quantile(fresh, 0.5), quantile(fresh, 0.99)
    return [
        Figure(
            f"freshness p50, {WRITES} writes",
            f"{middle * 1000:.0f} ms",
            f"encoding alone {alone * 1000:.0f} ms",
            "+ 80 ms",
            middle < alone + 0.08,
        ),
        Figure("freshness p99", f"{worst * 1000:.0f} ms", "", "400 ms", worst < 0.4),
    ]

"""Freshness while another model's embedder backfills: it gives way, so those who write should hardly notice."""

import asyncio
import json
import shutil
import sys
import time
from itertools import islice
from pathlib import Path

import httpx
import msgspec
import numpy as np
from safetensors.numpy import load_file, save_file

from benchmarks import corpus
from benchmarks.freshness import visible_after
from benchmarks.reporting import Figure, quantile
from encoders.folder import WEIGHTS, packaged
from schemas.encoders import MINILM
from services.stack.supervisor import Stack

DOCUMENTS = 4_000
WRITES = 100
WITHIN = 600.0


async def measure(stack: Stack) -> list[Figure]:
    """The table's lines. The stack has another encoder afterwards."""
    texts = corpus.passages(DOCUMENTS + 4 * WRITES)
    model = await asyncio.to_thread(twin, stack.folder.path / "twin")
    await asyncio.to_thread(fill, stack.endpoints, texts[4 * WRITES :])
    alone = await asyncio.to_thread(fresh, stack, texts[:WRITES], "alone")
    name = await add(stack, model)
    began = await encoded(stack, name)
    beside = await asyncio.to_thread(fresh, stack, texts[WRITES : 2 * WRITES], "beside")
    done = await encoded(stack, name) - began
    one, two = quantile(alone, 0.5), quantile(beside, 0.5)
    return [
        Figure(
            f"freshness p50, {WRITES} writes during a backfill ({done:,} passages meanwhile)",
            f"{two * 1000:.0f} ms",
            f"without one {one * 1000:.0f} ms",
            "2 ×",
            two < 2 * one and done > 0,
        ),
        Figure(
            "freshness p95",
            f"{quantile(beside, 0.95) * 1000:.0f} ms",
            f"without one {quantile(alone, 0.95) * 1000:.0f} ms",
        ),
    ]


def twin(folder: Path) -> Path:
    """MiniLM with other numbers: as much work, and none of its vectors are known yet."""
    shutil.copytree(packaged(MINILM), folder, ignore=shutil.ignore_patterns("onnx"))
    weights = load_file(folder / WEIGHTS)
    save_file(
        {name: (weight * np.float32(1.01)).astype(weight.dtype) for name, weight in weights.items()}, folder / WEIGHTS
    )
    return folder


def fill(endpoints: dict[str, str], texts: list[str]) -> None:
    """Add documents, and return when a search has seen them all."""
    lines = b"".join(msgspec.json.encode({"document_id": str(n), "text": text}) + b"\n" for n, text in enumerate(texts))
    with httpx.Client(timeout=WITHIN) as client:
        added = client.post(f"{endpoints['command']}/v1/collections/old/documents", content=lines).raise_for_status()
        deadline = time.monotonic() + WITHIN
        while True:
            answer = client.post(
                f"{endpoints['query']}/v1/collections/old/search",
                json={"query": "a", "mode": "text", "k": 1},
                headers={"Nenrin-At-Least": added.headers["Nenrin-Version"], "Prefer": "wait=30"},
            )
            if answer.status_code == 200:
                return
            assert time.monotonic() < deadline, answer.text


def fresh(stack: Stack, texts: list[str], about: str) -> list[float]:
    """Seconds from acknowledgement to answer, of texts that nobody has encoded yet; the first ten warm up."""
    endpoints = stack.endpoints
    return visible_after(endpoints["command"], endpoints["query"], [f"{about}: {text}" for text in texts])[10:]


async def add(stack: Stack, model: Path) -> str:
    """Have the stack embed with the model too, and return when its embedder is at work."""
    command = (sys.executable, "-P", "-m", "nenrin", "encoders", "add", str(model), "--no-wait", "--json")
    adding = await asyncio.create_subprocess_exec(
        *command, "--state", str(stack.folder.path), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await adding.communicate()
    name: str = json.loads(said)["name"]
    deadline = time.monotonic() + WITHIN
    while not await encoded(stack, name):
        assert time.monotonic() < deadline, "its embedder does nothing"
        await asyncio.sleep(0.2)
    return name


async def encoded(stack: Stack, name: str) -> int:
    """Passages that the encoder's own embedder has encoded; 0 while there is none."""
    urls = [each.program.metrics for each in stack.processes.values() if each.program.about == name]
    try:
        async with httpx.AsyncClient(timeout=10) as client:
            text = (await client.get(urls[0])).text
    except (IndexError, httpx.HTTPError):
        return 0
    lines = (line for line in text.splitlines() if line.startswith("nenrin_embedder_passages_total"))
    return int(float(next(islice(lines, 1)).split()[1]))

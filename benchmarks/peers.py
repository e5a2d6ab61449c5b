"""Nenrin against langchain-postgres and LlamaIndex: the same rows and vectors, the same Postgres, one run.

    python -m benchmarks peers

What each does in that time differs. The peers are libraries: their rows go from this process straight into a table,
and a search gives Python objects. Nenrin's rows are uploaded over HTTP and acknowledged by Kafka (acks=all), pass
through the embedder and a second topic and count once a search shows them; a search is an HTTP request and its answer
JSON, with version and lag. Embedding is left out everywhere: the peers are given the vectors, and Nenrin's embedder
finds them in its file of known vectors. Every index is there before the first row.

The peers' requirements exclude ours, so they live in an environment of their own, made under `.nenrin-bench`.
"""

import asyncio
import subprocess
import tempfile
import time
import venv
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec
import numpy as np

from benchmarks.load import CLIENTS, over_http
from benchmarks.passages import COLLECTION, database, likenesses, texts
from benchmarks.reporting import Figure, quantile
from benchmarks.service import SEARCH, Http, by_vector
from encoders.cache import VectorCache
from encoders.encoder import TextEncoder
from schemas.encoders import MINILM
from services.stack.supervisor import Stack

ROWS = 10_000
ASKED = 1_000
ALONE = 300
"""Searches of one client."""
VISIBLE_WITHIN = 300.0

ENVIRONMENT = Path(".nenrin-bench/peers")
_PYTHON = ENVIRONMENT / "bin" / "python"
PINS = (
    "langchain-postgres==0.0.19",
    "llama-index-vector-stores-postgres==0.9.0",
    "sqlalchemy==2.0.58",
    "asyncpg==0.32.0",
    "pgvector==0.3.6",
    "numpy==2.4.6",
)


class Peer(msgspec.Struct, frozen=True):
    """What one of them reached: rows a second, milliseconds at p50 with one client, searches a second of 16."""

    name: str
    version: str
    ingest: float
    p50: float
    rate: float


def environment() -> None:
    """Make the peers' environment, the first time and whenever the pins change."""
    made = ENVIRONMENT / "pins"
    if not made.exists() or made.read_text() != "\n".join(PINS):
        venv.create(ENVIRONMENT, clear=True, with_pip=True)
        subprocess.run((_PYTHON, "-m", "pip", "install", "--quiet", *PINS), check=True)
        made.write_text("\n".join(PINS))


async def peers(stack: Stack) -> list[Peer]:
    """The peers, in a database of their own in the stack's Postgres."""
    async with database(stack.endpoints["postgres"], "peers_benchmark") as dsn:
        with tempfile.NamedTemporaryFile(suffix=".npz") as file:
            np.savez(file, texts=np.array(texts(ROWS)), vectors=_floats(ROWS, 1), asked=_floats(ASKED, 2))
            file.flush()
            return await asyncio.to_thread(_inside, dsn, file.name)


def _floats(count: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows = [np.frombuffer(vector, dtype="<f2") for vector in likenesses(count, seed)]
    return np.stack(rows).astype(np.float32)


def _inside(dsn: str, rows: str) -> list[Peer]:
    at = urlsplit(dsn)
    where = (str(at.hostname), str(at.port), str(at.username), str(at.password), at.path.lstrip("/"))
    script = Path(__file__).with_name("peers_inside.py")
    said = subprocess.run((_PYTHON, script, *where, rows), stdout=subprocess.PIPE, check=True).stdout
    return msgspec.json.decode(said.splitlines()[-1], type=list[Peer])


def nenrin(stack: Stack) -> Peer:
    """Nenrin, whole, on the same rows."""
    _know_vectors(stack.folder.path)
    ends = stack.endpoints
    ingest = _ingested(ends["command"], ends["query"])
    port = int(urlsplit(ends["query"]).port or 0)
    bodies = [by_vector(vector) for vector in likenesses(ASKED, 2)]
    p50 = quantile([_search(Http(port), body) for body in bodies[:ALONE]], 0.5) * 1000
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(b"".join(body + b"\n" for body in bodies))
        file.flush()
        return Peer("Nenrin", "", ingest, p50, over_http(port, Path(file.name)).rate)


def _know_vectors(folder: Path) -> None:
    """Have the embedder know the vectors already, so that what is measured is the pipeline without the model."""
    prepared = TextEncoder(MINILM).prepare(texts(ROWS))
    cache = VectorCache(folder / "vectors.sqlite", 2**30, MINILM)
    vectors = likenesses(ROWS, 1)
    cache.add(
        {cache.key(piece.tokens): vector for pieces, vector in zip(prepared, vectors, strict=True) for piece in pieces}
    )
    cache.close()


def _ingested(command: str, query: str) -> float:
    """Rows a second, from the first byte of the upload until a search that waits for all of it has answered."""
    lines = b"".join(
        msgspec.json.encode({"document_id": f"document-{number}", "text": text, "metadata": {"lang": "en"}}) + b"\n"
        for number, text in enumerate(texts(ROWS))
    )
    with httpx.Client(timeout=VISIBLE_WITHIN) as client:
        began = time.perf_counter()
        upload = client.post(f"{command}/v1/collections/{COLLECTION}/documents", content=lines).raise_for_status()
        if upload.json()["accepted"] != ROWS:
            raise RuntimeError(f"not every row was accepted: {upload.text[:500]}")
        asked = {"Nenrin-At-Least": upload.json()["version"], "Prefer": "wait=30"}
        while client.get(f"{query}/v1/collections", headers=asked).status_code == httpx.codes.PRECONDITION_FAILED:
            if time.perf_counter() - began > VISIBLE_WITHIN:
                raise RuntimeError(f"the rows were not visible within {VISIBLE_WITHIN:g} s")
        return ROWS / (time.perf_counter() - began)


def _search(http: Http, body: bytes) -> float:
    began = time.perf_counter()
    http.post(SEARCH, body)
    return time.perf_counter() - began


async def measure(stack: Stack) -> list[Figure]:
    """The table's lines: no marks, whatever it says."""
    what = f"{ROWS:,} rows, embedding excluded"
    try:
        await asyncio.to_thread(environment)
    except (OSError, subprocess.CalledProcessError) as error:
        return [Figure(what, f"not measured: the peers' environment could not be made: {error}")]
    found = [await asyncio.to_thread(nenrin, stack), *await peers(stack)]
    return [
        Figure(
            f"{what}: {peer.name} {peer.version}".rstrip(),
            f"ingest {peer.ingest:,.0f} rows/s; search p50 {peer.p50:.2f} ms, {CLIENTS} clients {peer.rate:,.0f}/s",
        )
        for peer in found
    ]

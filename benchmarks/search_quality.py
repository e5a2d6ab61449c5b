"""How well each way of searching finds what people found relevant, asked over HTTP: `make bench-search`.

    python -m benchmarks.search_quality [FOLDER] [--state DIR]

FOLDER (or NENRIN_SCIFACT) holds `docs.jsonl.gz` (`id`, `title`, `text`), `queries.jsonl` (`id`, `text`) and `qrels.tsv`
(query, document, grade); it is read where it is. DIR is the state folder of a stack to ask: one that runs there is used
as it is, another is started; documents that it holds already are not written again.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import fmean, median
from urllib.parse import quote

import httpx
import ir_measures
import msgspec
from ir_measures import R, nDCG

from benchmarks import hardware
from benchmarks.exact import Exact
from benchmarks.judged import Judged
from benchmarks.reporting import Figure, show
from schemas.versions import Version, merge, parse
from services.stack.supervisor import Stack

COLLECTION = "scifact"
WRITERS = 16
FIRST, FOUND = 10, 100
"""How many documents are asked for: as a reader would, and as a reranker would."""
EMBED_WITHIN = 3600.0
MARKS = {"dense": 0.64, "text": 0.59, "hybrid": 0.69}
_BESIDE = Path(__file__).parents[2] / "shared" / "retrieval" / "scifact"

Ranking = dict[str, float]
"""Documents and how well they rank; our own order, whatever the scores are."""


class Asked(msgspec.Struct):
    """What one mode found for every query, asked for the first and for many, and the seconds that the first took."""

    first: dict[str, Ranking] = {}
    many: dict[str, Ranking] = {}
    seconds: list[float] = []


async def measure(command: str, query: str, postgres: str, judged: Judged) -> list[Figure]:
    """The table's lines."""
    async with httpx.AsyncClient(timeout=60) as client:
        await load(client, command, query, judged)
        asked = {mode: await ask(client, query, mode, judged.queries) for mode in MARKS}
    exact = await Exact.read(postgres, COLLECTION)
    nearest = {name: ranking(exact.nearest(text, FOUND)) for name, text in judged.queries.items()}
    figures = [line for mode, found in asked.items() for line in quality(mode, found, judged, nearest)]
    overlap = fmean(_common(asked["dense"].first[name], best) for name, best in nearest.items())
    return [*figures, Figure("dense recall@10", f"{overlap:.3f}", "of an exact scan", "0.95", overlap >= 0.95)]


def quality(mode: str, found: Asked, judged: Judged, nearest: Mapping[str, Ranking]) -> list[Figure]:
    """How well one mode ranks, by human judgement; dense search beside what no index would miss."""
    gain, recall = _scored(nDCG @ FIRST, judged, found.first), _scored(R @ FOUND, judged, found.many)
    best = [_scored(measure, judged, nearest) for measure in (nDCG @ FIRST, R @ FOUND)] if mode == "dense" else []
    beside = [f"exact scan {score:.3f}" for score in best] or ["", ""]
    return [
        Figure(f"{mode} nDCG@{FIRST}", f"{gain:.3f}", beside[0], str(MARKS[mode]), gain >= MARKS[mode]),
        Figure(f"{mode} recall@{FOUND}", f"{recall:.3f}", beside[1]),
        Figure(f"{mode} p50, k = {FIRST}, one client over HTTP", f"{median(found.seconds) * 1000:.1f} ms"),
    ]


def _scored(measure: ir_measures.Measure, judged: Judged, rankings: Mapping[str, Ranking]) -> float:
    score: float = ir_measures.calc_aggregate([measure], judged.relevant, rankings)[measure]
    return score


def _common(found: Ranking, best: Ranking) -> float:
    """The part of the best that was found."""
    first = set(list(best)[:FIRST])
    return len(first & found.keys()) / len(first)


def ranking(documents: list[str]) -> Ranking:
    """Documents, best first, as `ir_measures` takes them."""
    return {document: float(-place) for place, document in enumerate(documents)}


async def load(client: httpx.AsyncClient, command: str, query: str, judged: Judged) -> None:
    """Write the documents and wait until searches see them all; those that a kept state holds stay as they are."""
    listed = (await client.get(f"{query}/v1/collections")).raise_for_status().json()["collections"]
    held = {each["name"]: each["documents"] for each in listed}
    if held.get(COLLECTION) == len(judged.documents):
        return
    version = await _write(client, command, judged)
    deadline = time.monotonic() + EMBED_WITHIN
    headers = {"Nenrin-At-Least": version.token(), "Prefer": "wait=30"}
    while (answer := await client.get(f"{query}/v1/collections", headers=headers)).status_code == 412:
        if time.monotonic() > deadline:
            answer.raise_for_status()
    answer.raise_for_status()


async def _write(client: httpx.AsyncClient, command: str, judged: Judged) -> Version:
    """Write every document, several at a time; the version that covers them all."""
    waiting, versions = iter(judged.documents.items()), [Version()]

    async def write() -> None:
        for name, document in waiting:
            address = f"{command}/v1/collections/{COLLECTION}/documents/{quote(name, safe='')}"
            answer = await client.put(address, json={"title": document.title, "text": document.text})
            versions.append(parse(answer.raise_for_status().headers["Nenrin-Version"]))

    await asyncio.gather(*(write() for _ in range(WRITERS)))
    return merge(*versions)


async def ask(client: httpx.AsyncClient, query: str, mode: str, queries: Mapping[str, str]) -> Asked:
    """Ask every query in one mode, one at a time."""
    asked = Asked()
    for name, text in queries.items():
        started = time.perf_counter()
        asked.first[name] = await search(client, query, {"query": text, "mode": mode, "k": FIRST})
        asked.seconds.append(time.perf_counter() - started)
        asked.many[name] = await search(client, query, {"query": text, "mode": mode, "k": FOUND})
    return asked


async def search(client: httpx.AsyncClient, query: str, body: Mapping[str, object]) -> Ranking:
    """Ask one query."""
    answer = await client.post(f"{query}/v1/collections/{COLLECTION}/search", json=body)
    return ranking([each["document_id"] for each in answer.raise_for_status().json()["results"]])


@asynccontextmanager
async def endpoints(state: Path) -> AsyncIterator[Mapping[str, str]]:
    """Where the stack in `state` answers: the one that runs there, or one that is started."""
    running = state / "endpoints.json"
    if running.exists():
        yield msgspec.json.decode(running.read_bytes())
        return
    async with Stack(state, free_ports=True) as stack:
        yield stack.endpoints


async def _run(folder: Path, state: Path) -> list[Figure]:
    judged = Judged.read(folder)
    async with endpoints(state) as ends:
        return await measure(ends["command"], ends["query"], ends["postgres"], judged)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(os.environ.get("NENRIN_SCIFACT", _BESIDE)))
    parser.add_argument("--state", type=Path)
    asked = parser.parse_args()
    if not asked.folder.is_dir():
        parser.error(f"{asked.folder} is not there; name the folder of a judged test set, or set NENRIN_SCIFACT")
    with tempfile.TemporaryDirectory(prefix="nenrin-bench-") as temporary:
        figures = asyncio.run(_run(asked.folder, asked.state or Path(temporary)))
    show(f"Search quality on {asked.folder.name}", hardware.describe(), figures)


if __name__ == "__main__":
    main()

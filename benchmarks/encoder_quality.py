"""How well the default encoder finds things: nDCG@10 and recall@100 of dense search on a labelled test set.

    python -m benchmarks.encoder_quality FOLDER

FOLDER holds `docs.jsonl.gz` and `queries.jsonl` (`id`, `text`), and `qrels.tsv` (query, document, grade). Search is
exact, by cosine, each document as good as its best passage. No Kafka, no Postgres: only passages and vectors.
"""

import csv
import gzip
import json
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import log2
from pathlib import Path
from statistics import fmean

import numpy as np

from encoders.encoder import TextEncoder


def main(folder: Path) -> None:
    """Encode the test set, ask its queries, print the two figures and what they cost."""
    documents = texts(gzip.decompress((folder / "docs.jsonl.gz").read_bytes()).decode())
    queries = texts((folder / "queries.jsonl").read_text())
    relevant = grades((folder / "qrels.tsv").read_text())
    encoder = TextEncoder()
    began = time.perf_counter()
    ranked, passages = search(encoder, documents, queries)
    seconds = time.perf_counter() - began
    print(f"{encoder.describe()}: {len(documents)} documents, {passages} passages, {seconds:.0f} s")
    print(f"nDCG@10    {fmean(ndcg(ranked[query], relevant[query]) for query in relevant):.4f}")
    print(f"recall@100 {fmean(recall(ranked[query], relevant[query]) for query in relevant):.4f}")


def texts(lines: str) -> dict[str, str]:
    """The texts of a file of JSON lines, by id."""
    return {row["id"]: row["text"] for row in map(json.loads, lines.splitlines())}


def grades(lines: str) -> dict[str, dict[str, int]]:
    """What people found relevant: for each query the documents and their grades."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for query, document, grade in csv.reader(lines.splitlines(), delimiter="\t"):
        if grade.isdigit() and int(grade) > 0:
            found[query][document] = int(grade)
    return found


def search(
    encoder: TextEncoder, documents: Mapping[str, str], queries: Mapping[str, str]
) -> tuple[dict[str, list[str]], int]:
    """The hundred best documents of every query, best first, and the number of passages they were found by."""
    prepared = encoder.prepare(list(documents.values()))
    owners = np.repeat(np.arange(len(documents)), [len(pieces) for pieces in prepared])
    vectors = encoder.encode([piece for pieces in prepared for piece in pieces]).astype(np.float32)
    ids = np.array(list(documents))
    ranked = {}
    for query, text in queries.items():
        best = np.full(len(ids), -1.0)
        np.maximum.at(best, owners, vectors @ encoder.encode_query(text))
        ranked[query] = ids[np.argsort(-best, kind="stable")[:100]].tolist()
    return ranked, len(owners)


def ndcg(ranked: Sequence[str], relevant: Mapping[str, int]) -> float:
    """Discounted gain of the first ten, as a part of the best possible."""
    gain = sum(relevant.get(document, 0) / log2(place + 2) for place, document in enumerate(ranked[:10]))
    ideal = sorted(relevant.values(), reverse=True)[:10]
    return gain / sum(grade / log2(place + 2) for place, grade in enumerate(ideal))


def recall(ranked: Sequence[str], relevant: Mapping[str, int]) -> float:
    """The part of what is relevant that stands among the first hundred."""
    return len(relevant.keys() & set(ranked)) / len(relevant)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

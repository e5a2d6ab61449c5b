"""A test set of retrieval: documents, queries, and what people found relevant to them."""

import csv
import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Self

import msgspec


class Text(msgspec.Struct, frozen=True):
    """A document."""

    title: str | None
    text: str


class Judged(msgspec.Struct, frozen=True):
    """The set. `relevant` holds the grades above 0, by query and document."""

    documents: dict[str, Text]
    queries: dict[str, str]
    relevant: dict[str, dict[str, int]]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read `docs.jsonl.gz`, `queries.jsonl` and `qrels.tsv`; only judged queries count."""
        rows = map(json.loads, gzip.decompress((folder / "docs.jsonl.gz").read_bytes()).decode().splitlines())
        documents = {row["id"]: Text(row.get("title"), row["text"]) for row in rows}
        relevant = _grades((folder / "qrels.tsv").read_text())
        asked = map(json.loads, (folder / "queries.jsonl").read_text().splitlines())
        queries = {row["id"]: row["text"] for row in asked if row["id"] in relevant}
        return cls(documents, queries, {name: relevant[name] for name in queries})


def _grades(lines: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for query, document, grade in csv.reader(lines.splitlines(), delimiter="\t"):
        if grade.isdigit() and int(grade) > 0:
            found[query][document] = int(grade)
    return dict(found)

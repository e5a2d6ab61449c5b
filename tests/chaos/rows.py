"""The rows themselves, read from Postgres: documents, passages, vectors, digests, positions against the oracle's fold.

The one thing here that is not the oracle's is where a text is cut and which vector it has: that is asked of a fresh
encoder, which has seen nothing of the run.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import asyncpg
import msgspec
import numpy as np
from numpy.typing import NDArray

from encoders.chunking import Piece
from encoders.encoder import TextEncoder
from tests.oracle import Oracle, Version

MODULUS = 2**64
NEAR = 0.9999
Row = Mapping[str, Any]
Document = Mapping[str, Any]


class Sum(NamedTuple):
    """A digest: counts, and sums of the hashes of rows."""

    documents: int = 0
    passages: int = 0
    content: int = 0
    vectors: int = 0


class Tables(NamedTuple):
    """Both live generations, and what holds of every one."""

    documents: Sequence[Row]
    passage_documents: Sequence[Row]
    passages: Mapping[tuple[str, str], Sequence[Row]]
    digests: Mapping[str, Sequence[Row]]
    positions: Mapping[str, Sequence[Row]]


async def compare_rows(dsn: str, oracle: Oracle, version: Version) -> dict[str, int]:
    """How many rows of each kind were compared. Raises AssertionError for the first that is not as it must be."""
    tables = await _read(dsn)
    expected = oracle.documents(version)
    _compare_positions(tables, version)
    _compare_documents(tables, expected)
    encoder = TextEncoder(device="cpu", threads=1)
    pieces = encoder.prepare([document["text"] for document in expected])
    _compare_passages(tables, expected, pieces)
    count = _compare_vectors(tables, expected, pieces, encoder)
    _compare_digests(tables, expected, pieces)
    return {"documents": len(expected), "passages": sum(map(len, pieces)), "vectors encoded afresh": count}


async def _read(dsn: str) -> Tables:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        live = dict(await connection.fetch("SELECT name, live FROM nenrin.projections"))
        schemas = {name: f"{name}_g{live[name]}" for name in ("documents", "passages")}
        rows: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in await connection.fetch(
            f"SELECT *, vector::real[] AS values FROM {schemas['passages']}.passages"
            " ORDER BY collection, document_id, ordinal"
        ):
            rows[row["collection"], row["document_id"]].append(row)
        return Tables(
            await connection.fetch(f"SELECT * FROM {schemas['documents']}.documents"),
            await connection.fetch(f"SELECT * FROM {schemas['passages']}.documents"),
            rows,
            {name: await connection.fetch(f"SELECT * FROM {schema}.digests") for name, schema in schemas.items()},
            {name: await connection.fetch(f"SELECT * FROM {schema}.positions") for name, schema in schemas.items()},
        )
    finally:
        await connection.close(timeout=10)


def _compare_positions(tables: Tables, version: Version) -> None:
    for name, rows in tables.positions.items():
        assert {row["partition"]: row["next"] for row in rows} == version, (name, rows)
        assert all(row["epoch"] > 0 for row in rows), (name, rows)


def _compare_documents(tables: Tables, expected: Sequence[Document]) -> None:
    rows = _by_place(tables.documents)
    _compare_places(rows, expected)
    for document in expected:
        row = rows[_place(document)]
        source = document["source"]
        shown = {name: row[name] for name in ("title", "text", "source_uri")}
        assert shown == {name: document[name] for name in shown}, (row, document)
        assert row["metadata"] == _json(document["metadata"]), (row, document)
        assert (row["topic"], row["partition"], row["offset"]) == tuple(source.values()), (row, document)
        assert row["added_at"] == datetime.fromisoformat(document["added_at"]), (row, document)
        assert row["content_hash"] % MODULUS == _document_hash(document), (row, document)


def _compare_places(rows: Mapping[tuple[str, str], Row], expected: Sequence[Document]) -> None:
    places = {_place(document) for document in expected}
    assert rows.keys() == places, f"lost: {places - rows.keys()}, and there though removed: {rows.keys() - places}"


def _compare_passages(tables: Tables, expected: Sequence[Document], pieces: Sequence[Sequence[Piece]]) -> None:
    """Each passage is a piece of the text as an encoder cuts it today; together they hold all that is not space."""
    rows = _by_place(tables.passage_documents)
    _compare_places(rows, expected)
    assert tables.passages.keys() <= rows.keys(), "passages without their document"
    for document, cut in zip(expected, pieces, strict=True):
        row, kept = rows[_place(document)], tables.passages.get(_place(document), ())
        assert (row["title"], row["metadata"]) == (document["title"], _json(document["metadata"])), (row, document)
        assert (row["partition"], row["passages"]) == (document["source"]["partition"], len(cut)), (row, document)
        assert [(one["ordinal"], one["start"], one["end"]) for one in kept] == [
            (piece.ordinal, piece.start, piece.end) for piece in cut
        ], document
        for one in kept:
            assert one["text"] == document["text"][one["start"] : one["end"]] == one["text"].strip() != "", one
            assert one["title"] == document["title"], one
        assert not _uncovered(document["text"], kept).strip(), document


def _uncovered(text: str, passages: Iterable[Row]) -> str:
    left, reached = [], 0
    for one in passages:
        left.append(text[reached : one["start"]])
        reached = max(reached, one["end"])
    return "".join([*left, text[reached:]])


def _compare_vectors(
    tables: Tables, expected: Sequence[Document], pieces: Sequence[Sequence[Piece]], encoder: TextEncoder
) -> int:
    """Cosines of what is kept to what is encoded now; passages that read alike are encoded once."""
    distinct = {piece.tokens.tobytes(): piece for cut in pieces for piece in cut}
    fresh = dict(zip(distinct, encoder.encode(list(distinct.values())), strict=True))
    for document, cut in zip(expected, pieces, strict=True):
        for row, piece in zip(tables.passages.get(_place(document), ()), cut, strict=True):
            near = _cosine(np.array(row["values"]), fresh[piece.tokens.tobytes()])
            assert near >= NEAR, f"a vector that is not its text's: cosine {near} of {row} in {document}"
    return len(distinct)


def _cosine(one: NDArray[Any], other: NDArray[Any]) -> float:
    one, other = one.astype(np.float64), other.astype(np.float64)
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def _compare_digests(tables: Tables, expected: Sequence[Document], pieces: Sequence[Sequence[Piece]]) -> None:
    """Sums as they are kept, of the oracle's fold; those of vectors, of the rows."""
    documents, passages = defaultdict(list), defaultdict(list)
    for document, cut in zip(expected, pieces, strict=True):
        place = (document["source"]["partition"], document["collection"])
        documents[place].append(Sum(1, 0, _document_hash(document), 0))
        vectors = _vectors_hash(document, tables.passages.get(_place(document), ()))
        passages[place].append(Sum(1, len(cut), _passages_hash(document, cut), vectors))
    for name, sums in (("documents", documents), ("passages", passages)):
        kept = {(row["partition"], row["collection"]): _kept(row) for row in tables.digests[name]}
        assert {place: one for place, one in kept.items() if one != Sum()} == _added_up(sums), name


def _kept(row: Row) -> Sum:
    return Sum(row["documents"], row["passages"], int(row["content"]), int(row["vectors"]))


def _added_up(sums: Mapping[tuple[int, str], Sequence[Sum]]) -> dict[tuple[int, str], Sum]:
    return {place: Sum(*(sum(column) % MODULUS for column in zip(*each, strict=True))) for place, each in sums.items()}


def _document_hash(document: Document) -> int:
    source = document["source"]
    described = [document[name] for name in ("title", "text")]
    milliseconds = round(datetime.fromisoformat(document["added_at"]).timestamp() * 1000)
    whole = [*_place(document), *source.values(), *described, _json(document["metadata"]), document["source_uri"]]
    return _hash([*whole, milliseconds])


def _passages_hash(document: Document, cut: Sequence[Piece]) -> int:
    rows = [
        [piece.ordinal, piece.start, piece.end, document["title"], document["text"][piece.start : piece.end]]
        for piece in cut
    ]
    return _hash([*_place(document), document["title"], _json(document["metadata"]), rows])


def _vectors_hash(document: Document, rows: Sequence[Row]) -> int:
    return _hash([*_place(document), [np.array(row["values"]).astype("<f2").tobytes() for row in rows]])


def _hash(values: Sequence[Any]) -> int:
    """64 bits of BLAKE2b (RFC 7693) over MessagePack, as digests are defined."""
    return int.from_bytes(blake2b(msgspec.msgpack.encode(values), digest_size=8).digest(), "big")


def _by_place(rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    return {(row["collection"], row["document_id"]): row for row in rows}


def _place(document: Document) -> tuple[str, str]:
    return document["collection"], document["document_id"]


def _json(metadata: Any) -> str:
    """As it is kept."""
    return msgspec.json.encode(metadata).decode()

"""The peers' part of `benchmarks.peers`: runs in an environment of their own, imports nothing of ours, prints JSON.

    python peers_inside.py HOST PORT USER PASSWORD DATABASE ROWS.npz

ROWS.npz holds `texts`, `vectors` (rows, dimensions) and `asked` (questions, dimensions). Each store gets what its
documentation recommends: its asynchronous calls, an HNSW index, a pool with a connection for each client. The index is
there before the first row, as Nenrin's is, and searches look at 40 candidates, as many as Nenrin's.
"""

import asyncio
import json
import sys
import time
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_postgres import PGEngine, PGVectorStore
from langchain_postgres.v2.indexes import HNSWIndex, HNSWQueryOptions
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery
from llama_index.vector_stores.postgres import PGVectorStore as LlamaStore
from sqlalchemy import URL

CLIENTS = 16
K = 10
CANDIDATES = 40
ALONE = 300
"""Searches of one client."""
SECONDS = 5
BATCH = 500


class Store(Protocol):
    """A peer."""

    package: str

    async def add(self, first: int, texts: list[str], vectors: list[list[float]]) -> None:
        """Store a batch, numbered from `first`."""

    async def search(self, vector: list[float]) -> int:
        """How many rows were found."""


class LangChain:
    """langchain-postgres's PGVectorStore, with its own engine."""

    package = "langchain-postgres"

    def __init__(self, store: PGVectorStore) -> None:
        self._store = store

    @classmethod
    async def made(cls, url: URL, dimensions: int) -> "LangChain":
        """Its table and its index."""
        engine = PGEngine.from_connection_string(
            url.set(drivername="postgresql+asyncpg"), pool_size=CLIENTS, max_overflow=0
        )
        await engine.ainit_vectorstore_table("langchain_rows", dimensions)
        store = await PGVectorStore.create(
            engine,
            DeterministicFakeEmbedding(size=dimensions),  # never asked: vectors are given
            "langchain_rows",
            index_query_options=HNSWQueryOptions(ef_search=CANDIDATES),
        )
        await store.aapply_vector_index(HNSWIndex())
        return cls(store)

    async def add(self, first: int, texts: list[str], vectors: list[list[float]]) -> None:
        """As `aadd_documents` does once it has the vectors."""
        await self._store.aadd_embeddings(texts, vectors, [{"lang": "en", "n": first + n} for n in range(len(texts))])

    async def search(self, vector: list[float]) -> int:
        """The nearest, with their scores."""
        return len(await self._store.asimilarity_search_with_score_by_vector(vector, K))


class LlamaIndex:
    """llama-index-vector-stores-postgres's PGVectorStore, on half vectors, as Nenrin's are."""

    package = "llama-index-vector-stores-postgres"

    def __init__(self, url: URL, dimensions: int) -> None:
        self._store = LlamaStore.from_params(
            # as text: it would make text of a URL by itself, which hides the password
            connection_string=_text(url, "postgresql+psycopg2"),
            async_connection_string=_text(url, "postgresql+asyncpg"),
            table_name="rows",
            embed_dim=dimensions,
            cache_ok=True,
            use_jsonb=True,
            use_halfvec=True,
            hnsw_kwargs={
                "hnsw_m": 16,
                "hnsw_ef_construction": 64,
                "hnsw_ef_search": CANDIDATES,
                "hnsw_dist_method": "halfvec_cosine_ops",
            },
            create_engine_kwargs={"pool_size": CLIENTS, "max_overflow": 0},
        )

    async def add(self, first: int, texts: list[str], vectors: list[list[float]]) -> None:
        """As an index does once it has the vectors."""
        nodes = [
            TextNode(id_=f"document-{first + n}", text=text, embedding=vector, metadata={"lang": "en"})
            for n, (text, vector) in enumerate(zip(texts, vectors, strict=True))
        ]
        await self._store.async_add(nodes)

    async def search(self, vector: list[float]) -> int:
        """The nearest, with their scores."""
        found = await self._store.aquery(VectorStoreQuery(query_embedding=vector, similarity_top_k=K))
        return len(found.nodes or [])


def _text(url: URL, driver: str) -> str:
    return url.set(drivername=driver).render_as_string(hide_password=False)


async def measured(store: Store, rows: Any) -> dict[str, Any]:
    """Everything about one peer."""
    texts, vectors, asked = rows["texts"].tolist(), rows["vectors"].tolist(), rows["asked"].tolist()
    began = time.perf_counter()
    for first in range(0, len(texts), BATCH):
        await store.add(first, texts[first : first + BATCH], vectors[first : first + BATCH])
    ingest = len(texts) / (time.perf_counter() - began)
    alone = sorted([await _search(store, asked[n % len(asked)]) for n in range(ALONE)])
    counts = await asyncio.gather(*(_searching(store, asked[client:]) for client in range(CLIENTS)))
    return {
        "name": store.package,
        "version": version(store.package),
        "ingest": ingest,
        "p50": alone[len(alone) // 2] * 1000,
        "rate": sum(counts) / SECONDS,
    }


async def _search(store: Store, vector: list[float]) -> float:
    began = time.perf_counter()
    if (found := await store.search(vector)) != K:
        raise RuntimeError(f"{store.package} found {found} of {K}")
    return time.perf_counter() - began


async def _searching(store: Store, asked: list[list[float]]) -> int:
    deadline, count = time.perf_counter() + SECONDS, 0
    while time.perf_counter() < deadline:
        await _search(store, asked[count % len(asked)])
        count += 1
    return count


async def main() -> None:
    """Both, one after the other."""
    host, port, user, password, database, file = sys.argv[1:]
    url = URL.create("postgresql", user, password, host, int(port), database)
    with np.load(file) as rows:
        dimensions = rows["vectors"].shape[1]
        stores: list[Store] = [await LangChain.made(url, dimensions), LlamaIndex(url, dimensions)]
        print(json.dumps([await measured(store, rows) for store in stores]))


if __name__ == "__main__":
    asyncio.run(main())

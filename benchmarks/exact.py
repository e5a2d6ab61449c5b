"""Dense search without an index: every passage compared, on the rows that the service reads."""

from typing import Self

import asyncpg
import numpy as np
from numpy.typing import NDArray

from encoders import questions
from projections.database import prepare
from projections.generations.tables import schema_of
from projections.passages import NAME

_LIVE = "SELECT live FROM nenrin.projections WHERE name = $1"
_VECTORS = "SELECT document_id, vector FROM {schema}.passages WHERE collection = $1 ORDER BY document_id"


class Exact:
    """A collection's vectors in memory, as they are kept: float16, by document."""

    def __init__(self, owners: list[str], vectors: NDArray[np.float32]) -> None:
        self._documents = sorted(set(owners))
        self._owners = np.searchsorted(self._documents, owners)
        self._vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self._encoder = questions.load()

    @classmethod
    async def read(cls, dsn: str, collection: str) -> Self:
        """Read them from the live generation."""
        connection = await asyncpg.connect(dsn)
        try:
            await prepare(connection)
            schema = schema_of(NAME, await connection.fetchval(_LIVE, NAME))
            rows = await connection.fetch(_VECTORS.format(schema=schema), collection)
        finally:
            await connection.close()
        vectors = np.stack([np.frombuffer(row[1], dtype="<f2") for row in rows]).astype(np.float32)
        return cls([row[0] for row in rows], vectors)

    def nearest(self, text: str, count: int) -> list[str]:
        """The documents nearest to a question, best first, each as near as its nearest passage."""
        asked = self._encoder.encode_query(text).astype("<f2").astype(np.float32)
        scores = np.full(len(self._documents), -2.0, dtype=np.float32)
        np.maximum.at(scores, self._owners, self._vectors @ asked)
        return [self._documents[place] for place in np.argsort(-scores, kind="stable")[:count]]

"""Nenrin in LangChain (`pip install nenrin[langchain]`): a retriever of passages, and a vector store of documents.

Both work through a `Session`, so that whoever shares it sees what was written through it. Nenrin embeds by itself: no
embedding model is needed, and one that is handed over is not used. Asynchronous calls run the session in threads.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore
from pydantic import Field

from nenrin.client import Draft, Session
from nenrin.client.answers import Found, Hit
from nenrin.client.calls import Mode
from nenrin.provenance import KEY, provenance
from schemas.errors import InvalidInput

IDS_AT_ONCE = 1000
"""The most that one read takes."""


class NenrinRetriever(BaseRetriever):
    """The best passage of each of the best `k` documents.

    A document's metadata has Nenrin's own under the key "nenrin": where the passage stands, and the version and lag of
    the answer. `invoke` takes the fields below as keywords, for one call: `retriever.invoke("…", k=3)`.
    """

    session: Session
    collection: str
    k: int = 10
    mode: Mode | None = None
    filter: dict[str, Any] | None = None
    conditions: dict[str, Any] = Field(default_factory=dict)
    """Of every read, as in `nenrin.client.Conditions`: `{"max_lag": 2}`."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return self._passages(query, options)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return await run_in_executor(None, self._passages, query, options)

    def _passages(self, query: str, options: dict[str, Any]) -> list[Document]:
        asked = {"k": self.k, "mode": self.mode, "filter": self.filter, **self.conditions, **options}
        found = self.session.search(self.collection, query, **asked)
        return [_passage(found, hit) for hit in found.results]


def _passage(found: Found, hit: Hit) -> Document:
    metadata = {**hit.metadata, KEY: provenance(found, hit)}
    return Document(id=hit.document_id, page_content=hit.passage.text, metadata=metadata)


class NenrinVectorStore(VectorStore):
    """A collection as a vector store: documents come back whole, with the metadata that they were given and no more.

    With `provenance`, what a search finds has Nenrin's own metadata too, under the key "nenrin". Searches take `mode`,
    `filter` and the conditions of a read as keywords.
    """

    def __init__(
        self, session: Session, collection: str, *, mode: Mode | None = None, provenance: bool = False
    ) -> None:
        self.session = session
        self.collection = collection
        self.mode = mode
        self.provenance = provenance

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add or replace documents, and return when Kafka has them. Raises `InvalidInput` when some are refused."""
        texts = list(texts)
        metadatas = metadatas or list(repeat({}, len(texts)))
        named = [given or uuid.uuid4().hex for given in ids or repeat(None, len(texts))]
        if not len(texts) == len(named) == len(metadatas):
            raise ValueError(f"{len(texts)} texts, {len(metadatas)} metadatas and {len(named)} ids: one each is needed")
        drafts = map(Draft, named, texts, repeat(None), metadatas)
        answer = self.session.add_many(self.collection, drafts)
        if answer.rejected_count:
            first = answer.rejected[0]
            others = f"{answer.rejected_count} of {len(texts)} documents were refused, the others added"
            raise InvalidInput("documents", f"{others}; {named[first.line - 1]}: {first.error}")
        return named

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Remove documents by their ids; without ids, all of the collection. What isn't there is no error."""
        if ids is None:
            self.session.remove_collection(self.collection)
        for document_id in ids or ():
            self.session.remove(self.collection, document_id)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents of these ids that are there; of many, in several reads."""
        pages = [ids[at : at + IDS_AT_ONCE] for at in range(0, len(ids), IDS_AT_ONCE)]
        found = [each for page in pages for each in self.session.documents(self.collection, page).documents]
        return [Document(id=each.document_id, page_content=each.text, metadata=each.metadata) for each in found if each]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The best `k` documents, best first."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """The same with scores; higher is better. Those of one `mode` can be compared with one another."""
        return self._whole(self.session.search(self.collection, query, k=k, **{"mode": self.mode, **kwargs}))

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """The documents nearest to a vector, which must come from the encoder of the collection's passages."""
        found = self.session.search(self.collection, vector=embedding, k=k, **kwargs)
        return [document for document, _ in self._whole(found)]

    def _whole(self, found: Found) -> list[tuple[Document, float]]:
        """Whole documents for hits. One that was removed since the search is left out."""
        documents = {document.id: document for document in self.get_by_ids([hit.document_id for hit in found.results])}
        hits = [hit for hit in found.results if hit.document_id in documents]
        if self.provenance:
            for hit in hits:
                documents[hit.document_id].metadata[KEY] = provenance(found, hit)
        return [(documents[hit.document_id], hit.score) for hit in hits]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        if self.mode != "dense":
            raise ValueError('only the scores of mode="dense" (cosines) lie between 0 and 1: make the store with it')
        return lambda cosine: max(0.0, cosine)

    @classmethod
    def from_texts(  # type: ignore[override]  # noqa: PLR0913  (a member of the documents each)
        cls,
        texts: list[str],
        embedding: Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        session: Session,
        collection: str,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """A store with these texts added. `embedding` is not used."""
        store = cls(session, collection, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

"""Nenrin in LlamaIndex (`pip install nenrin[llamaindex]`): a retriever of passages.

It works through a `Session`, so that whoever shares it sees what was written through it. Nenrin embeds by itself, so
that there is no vector store to fill with vectors from elsewhere: documents are added with the session.
"""

import asyncio
from typing import Any, Unpack

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode

from nenrin.client import Session
from nenrin.client.answers import Found, Hit
from nenrin.client.calls import Mode
from nenrin.client.conditions import Conditions
from nenrin.provenance import provenance


class NenrinRetriever(BaseRetriever):
    """The best passage of each of the best `k` documents, as nodes with scores; higher is better.

    A node's metadata is that of its document. Its `source_node` is the document, and says in its own metadata where the
    passage stands, and the version and lag of the answer. Keywords beyond those named are the conditions of a read.
    """

    def __init__(
        self,
        session: Session,
        collection: str,
        *,
        k: int = 10,
        mode: Mode | None = None,
        filter: dict[str, Any] | None = None,
        **conditions: Unpack[Conditions],
    ) -> None:
        super().__init__()
        self._session = session
        self._collection = collection
        self._options: dict[str, Any] = {"k": k, "mode": mode, "filter": filter, **conditions}

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = self._session.search(self._collection, query_bundle.query_str, **self._options)
        return [NodeWithScore(node=self._node(found, hit), score=hit.score) for hit in found.results]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)

    def _node(self, found: Found, hit: Hit) -> TextNode:
        return TextNode(
            id_=f"{self._collection}/{hit.document_id}#{hit.passage.ordinal}",
            text=hit.passage.text,
            start_char_idx=hit.passage.start,
            end_char_idx=hit.passage.end,
            metadata=hit.metadata,
            # not beside the document's own metadata: no model should read it, and it must not tell equal passages apart
            relationships={
                NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.document_id, metadata=provenance(found, hit))
            },
        )

"""Nenrin in LlamaIndex, through its public interfaces. It publishes no standard tests: integrations bring their own."""

import secrets

import pytest
from llama_index.core import get_response_synthesizer
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import MetadataMode, QueryBundle

from nenrin import Draft, Session
from nenrin.llamaindex import NenrinRetriever
from schemas.versions import parse, shortfall

TEXTS = {
    "oak": "An oak lays down one ring of wood in every year that it lives.",
    "clock": "A water clock measures hours by the level in a vessel.",
    "ship": "A brigantine carries square sails on the foremast only.",
}


@pytest.fixture(scope="module")
def texts(session: Session) -> str:
    """A collection with a few texts."""
    collection = f"llamaindex-{secrets.token_hex(4)}"
    session.add_many(collection, (Draft(name, text, metadata={"kind": name}) for name, text in TEXTS.items()))
    return collection


def test_nodes_say_where_they_come_from(session: Session, texts: str) -> None:
    """Ids, scores in order, the document as the source, the passage's place, the document's own metadata."""
    nodes = NenrinRetriever(session, texts, k=2, mode="dense").retrieve("how old is a tree?")
    assert nodes[0].node_id == f"{texts}/oak#0"
    assert len({node.node_id for node in nodes}) == 2
    best = nodes[0].node
    assert best.get_content(MetadataMode.NONE) == TEXTS["oak"]
    assert best.source_node is not None
    assert best.source_node.node_id == "oak"
    assert (nodes[0].score or 0) > (nodes[1].score or 0)
    assert best.metadata == {"kind": "oak"}
    assert (best.source_node.metadata["start"], best.source_node.metadata["end"]) == (0, len(TEXTS["oak"]))


async def test_a_retriever_sees_what_its_session_wrote(session: Session, texts: str) -> None:
    """Right after a write, in an event loop: found, and the version of the answer covers the write."""
    token = session.add(texts, "keeper", "The keeper's password is brumal.").version
    (node,) = await NenrinRetriever(session, texts, mode="text").aretrieve("brumal")
    assert node.node.source_node is not None
    about = node.node.source_node.metadata
    assert about["document_id"] == "keeper"
    assert not shortfall(parse(token), parse(about["version"]))
    assert about["state"] in {"live", "catching_up"}
    session.remove(texts, "keeper")
    assert await NenrinRetriever(session, texts, mode="text").aretrieve("brumal") == []


def test_a_query_engine_shows_the_model_texts_and_their_metadata_only(session: Session, texts: str) -> None:
    """Passages reach the model with the document's metadata; versions and places are not for it."""
    retriever = NenrinRetriever(session, texts, k=3, filter={"kind": {"$ne": "ship"}})
    engine = RetrieverQueryEngine(
        retriever,
        get_response_synthesizer(MockLLM(), response_mode=ResponseMode.COMPACT),  # it answers with its prompt
    )
    response = engine.query("how is time measured?")
    said = str(response)
    assert TEXTS["clock"] in said
    assert "kind: clock" in said
    assert TEXTS["ship"] not in said
    assert "version" not in said
    assert {node.node.ref_doc_id for node in response.source_nodes} == {"oak", "clock"}


async def test_retrievers_can_be_fused(session: Session, texts: str) -> None:
    """Equal passages of two retrievers are one node to LlamaIndex's own fusion."""
    by_words, by_meaning = (NenrinRetriever(session, texts, k=3, mode=mode) for mode in ("text", "dense"))
    fused = QueryFusionRetriever([by_words, by_meaning], llm=MockLLM(), num_queries=1, similarity_top_k=3)
    nodes = await fused.aretrieve(QueryBundle("water clock"))
    assert nodes[0].metadata["kind"] == "clock"
    assert len({node.node_id for node in nodes}) == len(nodes) == 3

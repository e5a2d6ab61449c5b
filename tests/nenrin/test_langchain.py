"""Nenrin in LangChain: its own standard tests, and read-your-writes through its interfaces."""

import secrets
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

from nenrin import Session
from nenrin.langchain import NenrinRetriever, NenrinVectorStore
from schemas.errors import InvalidInput
from schemas.versions import parse, shortfall

RINGS = {
    "oak": "An oak lays down one ring of wood in every year that it lives.",
    "pine": "A pine on a dry slope grows rings that are narrow and hard to count.",
    "clock": "A water clock measures hours by the level in a vessel.",
    "ship": "A brigantine carries square sails on the foremast only.",
}


@pytest.fixture(scope="module")
def rings(session: Session) -> str:
    """A collection with a few texts."""
    collection = f"langchain-{secrets.token_hex(4)}"
    NenrinVectorStore(session, collection).add_texts(list(RINGS.values()), ids=list(RINGS))
    return collection


@pytest.fixture
def store(session: Session) -> NenrinVectorStore:
    """An empty store."""
    return NenrinVectorStore(session, f"langchain-{secrets.token_hex(4)}")


class TestRetrieverStandard(RetrieversIntegrationTests):
    """LangChain's standard tests of retrievers."""

    @pytest.fixture(autouse=True)
    def texts(self, session: Session, rings: str) -> None:
        """The collection that they search."""
        self.params = {"session": session, "collection": rings}

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        """The class under test."""
        return NenrinRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        """What it is made with."""
        return self.params

    @property
    def retriever_query_example(self) -> str:
        """A question."""
        return "what do the rings of trees tell?"


class TestVectorStoreStandard(VectorStoreIntegrationTests):
    """LangChain's standard tests of vector stores."""

    @pytest.fixture
    def vectorstore(self, store: NenrinVectorStore) -> NenrinVectorStore:
        """An empty one."""
        return store


def test_a_retriever_sees_what_its_session_wrote_and_says_how_fresh_it_is(store: NenrinVectorStore) -> None:
    """Right after a write and without a wait of one's own: the passage, its place, the version and the lag."""
    (document_id,) = store.add_documents([Document("The keeper's password is brumal.", metadata={"lang": "en"})])
    written = parse(store.session.token)
    retriever = NenrinRetriever(session=store.session, collection=store.collection, mode="text")
    (document,) = retriever.invoke("brumal")
    about = document.metadata["nenrin"]
    assert (document.id, document.page_content) == (document_id, "The keeper's password is brumal.")
    assert (document.metadata["lang"], about["document_id"]) == ("en", document_id)
    assert (about["ordinal"], about["start"], about["end"]) == (0, 0, 32)
    assert not shortfall(written, parse(about["version"]))
    assert about["state"] in {"live", "catching_up"}
    store.delete([document_id])
    assert retriever.invoke("brumal") == []


async def test_a_retriever_is_a_runnable(store: NenrinVectorStore) -> None:
    """In a chain, in an event loop, with filters and `k` of one call."""
    await store.aadd_texts(list(RINGS.values()), [{"kind": name} for name in RINGS], ids=list(RINGS))
    retriever = NenrinRetriever(session=store.session, collection=store.collection, filter={"kind": {"$ne": "ship"}})
    chain = retriever | RunnableLambda(_ids)
    assert await chain.ainvoke("sails") == {"oak", "pine", "clock"}
    assert len(await retriever.ainvoke("sails", k=1)) == 1
    only = await retriever.ainvoke("sails", filter={"kind": "ship"})
    assert [document.id for document in only] == ["ship"]


def _ids(documents: list[Document]) -> set[str | None]:
    return {document.id for document in documents}


def test_a_store_returns_documents_whole(store: NenrinVectorStore) -> None:
    """However long a text is and whichever passage was found; with `provenance`, it says which."""
    long = "\n\n".join(f"Paragraph {number} is about nothing in particular." for number in range(200)) + " Quoin."
    store.add_texts([long], ids=["long"])
    (found,) = store.similarity_search("quoin", mode="text")
    assert (found.page_content, found.metadata) == (long, {})
    told = NenrinVectorStore(store.session, store.collection, mode="text", provenance=True)
    (found,) = told.similarity_search("quoin")
    place = found.metadata["nenrin"]
    assert place["ordinal"] > 0
    assert "Quoin" in long[place["start"] : place["end"]]


def test_more_ids_than_one_read_takes_are_read_in_pages(store: NenrinVectorStore) -> None:
    """In the order of the ids; those that aren't there are left out."""
    store.add_texts(["first", "last"], ids=["first", "last"])
    missing = [f"missing-{number}" for number in range(2100)]
    found = store.get_by_ids(["first", *missing, "last"])
    assert [(each.id, each.page_content) for each in found] == [("first", "first"), ("last", "last")]


def test_relevance_scores_are_cosines(store: NenrinVectorStore) -> None:
    """Between 0 and 1 where that means something, and refused where it would not."""
    store.add_texts(list(RINGS.values()), ids=list(RINGS))
    dense = NenrinVectorStore(store.session, store.collection, mode="dense")
    scored = dense.similarity_search_with_relevance_scores(RINGS["oak"], k=4)
    assert scored[0][0].id == "oak"
    assert scored[0][1] == pytest.approx(1.0, abs=0.01)
    assert all(0 <= score <= 1 for _, score in scored)
    with pytest.raises(ValueError, match="mode"):
        store.similarity_search_with_relevance_scores("oak")


def test_documents_that_are_refused_are_named(store: NenrinVectorStore) -> None:
    """Metadata that the contract doesn't have is an error that names the document and the field."""
    with pytest.raises(InvalidInput, match=r"1 of 2 documents were refused.*bad: metadata\.nested"):
        store.add_texts(["good", "bad"], [{}, {"nested": {"a": 1}}], ids=["good", "bad"])
    assert [document.id for document in store.get_by_ids(["good", "bad"])] == ["good"]


def test_a_store_is_made_from_texts_and_emptied(session: Session) -> None:
    """`from_texts` needs no embedding; `delete()` without ids removes the collection."""
    collection = f"langchain-{secrets.token_hex(4)}"
    store = NenrinVectorStore.from_texts(["one", "two"], session=session, collection=collection)
    assert len(store.as_retriever(search_kwargs={"k": 5}).invoke("number")) == 2
    store.delete()
    assert store.similarity_search("number") == []

"""The `Link` header: which trace each document of an answer came from."""

import re
from urllib.parse import unquote

import msgspec

from schemas.documents import DocumentAdded
from services.query.links import LINKED, LONGEST, links
from tests.services.query.conftest import PARTITIONS, Nenrin, derived_entry, source_entry

SPAN = "00-0af7651916cd43dd8448eb211c80319c-{:016x}-01"
LINK = re.compile(r'<([^>]*)>; rel="(\w+)"; traceparent="([^"]*)"(?:, |$)')


async def add(nenrin: Nenrin, document_id: str, traceparent: str | None) -> None:
    """A document whose event came with this trace."""
    event = DocumentAdded("c", document_id, "abc")
    partition, offset = len(document_id) % PARTITIONS, nenrin.next[len(document_id) % PARTITIONS]
    nenrin.next[partition] += 1
    for writer, entry in (
        (nenrin.documents, source_entry(event, partition, offset)),
        (nenrin.passages, derived_entry(event, partition, offset)),
    ):
        await writer.apply(partition, [msgspec.structs.replace(entry, traceparent=traceparent)])


async def test_an_answer_names_the_traces_of_its_documents(nenrin: Nenrin) -> None:
    """By their addresses, in the answer's order; a document without a trace has no link, nor has an answer of those."""
    await add(nenrin, "a/b c", SPAN.format(1))
    await add(nenrin, "none", None)
    await add(nenrin, "é", SPAN.format(2))
    item = [("/v1/collections/c/documents/a%2Fb%20c", "item", SPAN.format(1))]
    both = [*item, ("/v1/collections/c/documents/%C3%A9", "item", SPAN.format(2))]

    for mode in ("text", "dense", "hybrid"):
        assert LINK.findall((await nenrin.search({"query": "abc", "mode": mode})).headers["link"]) == both
    assert LINK.findall((await nenrin.get("/collections/c/documents")).headers["link"]) == both
    assert LINK.findall((await nenrin.get("/collections/c/documents?limit=2")).headers["link"]) == item
    some = await nenrin.post("/collections/c/documents/get", {"ids": ["nobody", "none", "é", "a/b c"]})
    assert LINK.findall(some.headers["link"]) == both[::-1]
    one = await nenrin.get("/collections/c/documents/a%2Fb%20c")
    assert LINK.findall(one.headers["link"]) == [(item[0][0], "self", SPAN.format(1))]
    for answer in (await nenrin.get("/collections/c/documents/none"), await nenrin.get("/collections")):
        assert (answer.status_code, "link" in answer.headers) == (200, False)


def test_only_the_first_documents_are_linked_and_a_header_stays_short() -> None:
    """Ten at most, and never more characters than a proxy lets through."""
    rows = [msgspec.json.encode({"document_id": str(number)}) for number in range(2 * LINKED)]
    found = LINK.findall(links("c", rows, [SPAN.format(number + 1) for number in range(len(rows))]))
    assert [unquote(path).rpartition("/")[2] for path, _, _ in found] == [str(number) for number in range(LINKED)]
    long = [msgspec.json.encode({"document_id": "年" * 100 * (number + 1)}) for number in range(10)]
    value = links("c", long, [SPAN.format(1)] * 10)
    assert 0 < len(LINK.findall(value)) < 10
    assert len(value) <= LONGEST

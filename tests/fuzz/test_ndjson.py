"""NDJSON of any spelling: a line is a document to the command service where it is one to the oracle."""

import json
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import fuzzed
from tests.fuzz.test_envelopes import mutated, spelled
from tests.laws.events import added
from tests.oracle import parsed, partition_of, read
from tests.running import Running

C = "lines"
KNOWN = {"document_id", "text", "title", "metadata", "source_uri"}
NAMES = st.sampled_from([*sorted(KNOWN), "another"])


@pytest.fixture(scope="module")
def command(stack: Running) -> Iterator[httpx.Client]:
    """The command service."""
    with httpx.Client(base_url=stack.endpoints["command"], timeout=30) as client:
        yield client


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A document on a line, one of its members spelled in some other way; perhaps damaged."""
    name, spelling = draw(NAMES.filter(lambda name: name not in ("document_id", "text"))), draw(spelled())
    line = f'{{"document_id":"one","text":"t","{name}":{spelling}}}'.encode(errors="surrogatepass")
    return draw(st.just(line) | mutated(line) | mutated(b'{"document_id":"one","text":"t"}'))


@fuzzed
@given(st.lists(lines(), max_size=6), st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \n"]))
def test_a_line_is_a_document_or_refused(command: httpx.Client, some: list[bytes], end: bytes) -> None:
    """Each line that is no document is named with its number and a reason, and no other."""
    body = end.join(some)
    answer = command.post(f"/v1/collections/{C}/documents", content=body)
    assert answer.status_code == 200, answer.text
    stripped = [(number, line.strip(b" \t\r")) for number, line in enumerate(body.split(b"\n"), 1)]
    asked = {number: is_document(line) for number, line in stripped if line}
    told = answer.json()
    assert [one["line"] for one in told["rejected"]] == [number for number, good in asked.items() if not good], body
    assert all(one["error"] for one in told["rejected"])
    assert told["accepted"] == sum(asked.values())


def is_document(line: bytes) -> bool:
    """Whether the oracle reads the line as a whole document, without a member that HTTP does not know."""
    try:
        data = parsed(line)
        if not set(data) <= KNOWN or not isinstance(data, dict):
            return False
        data["collection"] = C
        key = f"{C}/{data['document_id']}".encode()
        value = json.dumps(data).encode()
    except (KeyError, RecursionError, TypeError, ValueError):
        return False
    return read(key, value, dict(added(C, "one").headers), partition_of(key, 4), 4)[0] == "added"

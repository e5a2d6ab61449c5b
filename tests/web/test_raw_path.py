"""Document ids in paths: every id that the contract allows has one address, and no other id shares it."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidInput
from web.raw_path import MARK, routed, segment

DOCUMENTS = "/v1/collections/c/documents/"


def decoded(path: str, method: str = "GET") -> str:
    """The id that a handler gets for a path."""
    return segment(routed(path, method).removeprefix(DOCUMENTS), "document_id")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_an_id_survives_its_path(document_id: str) -> None:
    """Whatever characters an id has, percent-encoding it once brings it through unchanged."""
    assert decoded(DOCUMENTS + quote(document_id, safe="")) == document_id


@pytest.mark.parametrize("document_id", ["..", ".", "get", "a.b", "~", ""])
def test_nothing_about_a_path_is_normalised(document_id: str) -> None:
    """Dots are not resolved, the word `get` is no other resource, and an empty id stays empty instead of vanishing."""
    assert decoded(DOCUMENTS + document_id) == document_id


def test_percent_signs_are_decoded_once() -> None:
    """`%252F` is the id `%2F`, not a slash."""
    assert decoded(DOCUMENTS + "%252F") == "%2F"


def test_a_posted_word_is_not_an_id() -> None:
    """`POST …/documents/get` is the batch read, which has no id to mark."""
    assert routed(DOCUMENTS + "get", "POST") == DOCUMENTS + "get"


def test_empty_segments_reach_the_router() -> None:
    """Litestar would fold `//` and drop a slash at the end: `a//b` would be found at the address of `a/b`."""
    assert routed("/v1/collections//documents/", "POST") == f"/v1/collections/{MARK}/documents/{MARK}"
    assert routed("/v1/collections//documents/a", "GET") == f"/v1/collections/{MARK}/documents/{MARK}a"
    assert routed(DOCUMENTS + "a//b", "GET") == f"{DOCUMENTS}a/{MARK}/b"


@pytest.mark.parametrize("raw", ["%", "%2", "%zz", "a%", "%%41"])
def test_broken_percent_encoding_is_refused(raw: str) -> None:
    """A guess would write another document than the caller meant."""
    with pytest.raises(InvalidInput, match="percent-encoding") as refused:
        segment(raw, "document_id")
    assert refused.value.field == "document_id"


@pytest.mark.parametrize("raw", ["%ff", "%C3", "%ED%A0%80"])
def test_bytes_that_are_no_text_are_refused(raw: str) -> None:
    """Neither stray bytes nor an encoded surrogate become a replacement character."""
    with pytest.raises(InvalidInput, match="UTF-8"):
        segment(raw, "document_id")

"""Derived records, filters and NDJSON of any bytes: read, or refused by the one error that says so."""

import contextlib
from typing import Any

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.passages.filters import path_of
from schemas.derived import decode
from schemas.errors import InvalidInput, UndecodableRecord
from schemas.reading import read
from schemas.records import Record
from services import entries
from services.query.requests import SearchBody, search_of
from tests.fuzz import fuzzed
from tests.fuzz.test_envelopes import mutated, spelled
from tests.running import Databases
from tests.schemas.test_embedded import EVENTS, record_of

WHOLE = [record_of(event) for event in EVENTS]
WORDS = st.sampled_from(
    ["a", "b", "", "$and", "$or", "$not", "$eq", "$in", "$nin", "$ne", "$gt", "$exists", "$", "$x", '"', "\\", "年",
     "\0", "\ud800", "\n", "a" * 300]
)  # fmt: skip
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.integers(), st.floats(), WORDS, st.just(10**300)
)
FILTERS = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=12
)


@fuzzed
@given(st.data())
def test_a_damaged_derived_record_is_read_or_refused(data: st.DataObject) -> None:
    """Bytes changed in a value: a derived event with a place in the log, or `UndecodableRecord`."""
    whole = data.draw(st.sampled_from(WHOLE))
    record = msgspec.structs.replace(whole, value=data.draw(mutated(whole.value or b"") | st.binary(max_size=40)))
    with contextlib.suppress(UndecodableRecord):
        event = decode(record)
        assert event.source.offset >= 0
        entries.from_derived(record, event.source.incarnation)


@fuzzed
@given(st.binary(max_size=20) | st.none(), st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=8) | st.none())))
def test_a_foreign_record_in_the_derived_topic_is_refused(
    value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    """Whatever its headers are."""
    with pytest.raises(UndecodableRecord):
        decode(Record("d", 0, 0, 0, None, value, tuple(headers)))


@fuzzed
@given(FILTERS)
def test_a_filter_is_a_predicate_or_refused(filter_: Any) -> None:
    """Any JSON: what isn't a filter is refused by name, and nothing else is raised."""
    with contextlib.suppress(InvalidInput):
        path_of(filter_)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(WORDS, FILTERS, max_size=3), min_size=8, max_size=8))
async def test_postgres_takes_every_predicate(postgres: Databases, filters: list[dict[str, Any]]) -> None:
    """What was not refused, Postgres can judge: never an error that would end in a 500."""
    paths = []
    for filter_ in filters:
        with contextlib.suppress(InvalidInput):
            paths.append(path_of(filter_))
    connection = await asyncpg.connect(postgres.reader)
    try:
        for path in paths:
            assert await connection.fetchval("SELECT '{}'::jsonb @@ $1::jsonpath", path) is not None, path
    finally:
        await connection.close()


@fuzzed
@given(spelled(), st.sampled_from(["filter", "vector", "query", "k", "mode", "other"]))
def test_a_search_is_one_or_refused(text: str, name: str) -> None:
    """Any spelling of any member: a search that can be carried out, or `InvalidInput`."""
    body = f'{{"query":"q","{name}":{text}}}'.encode(errors="surrogatepass")
    with contextlib.suppress(InvalidInput):
        search = search_of(read(body, SearchBody))
        assert 1 <= search.k <= 1000

"""Filters: judged by Postgres as the contract's words judge them, and refused where they mean nothing."""

import operator
from collections.abc import Callable
from typing import Any

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.passages.filters import DEPTH, path_of
from schemas.errors import InvalidInput

Metadata = dict[str, Any]

ORDERED: dict[str, Callable[[Any, Any], Any]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def matches(filter_: Metadata, metadata: Metadata) -> bool:
    """The oracle: the contract's paragraph on filters, in Python."""
    return all(_member(key, value, metadata) for key, value in filter_.items())


def _member(key: str, value: Any, metadata: Metadata) -> bool:
    if key == "$and":
        return all(matches(each, metadata) for each in value)
    if key == "$or":
        return any(matches(each, metadata) for each in value)
    if key == "$not":
        return not matches(value, metadata)
    conditions = value if isinstance(value, dict) else {"$eq": value}
    return all(_condition(key, name, operand, metadata) for name, operand in conditions.items())


def _condition(key: str, name: str, operand: Any, metadata: Metadata) -> bool:
    found = metadata.get(key, [])
    elements = found if isinstance(found, list) else [found]
    if name == "$exists":
        return bool((key in metadata) == operand)
    if name in ("$eq", "$ne"):
        return (name == "$eq") == any(_same(each, operand) for each in elements)
    if name in ("$in", "$nin"):
        return (name == "$in") == any(_same(each, one) for each in elements for one in operand)
    return any(_comparable(each, operand) and bool(ORDERED[name](each, operand)) for each in elements)


def _same(one: Any, other: Any) -> bool:
    return _kind(one) == _kind(other) and bool(one == other)


def _comparable(one: Any, other: Any) -> bool:
    # nulls are equal, so neither is the greater; Python has no order for them
    return _kind(one) == _kind(other) and one is not None


def _kind(value: Any) -> str:
    return "number" if type(value) in (int, float) else type(value).__name__


keys = st.sampled_from(["a", "b", 'q"uo\\te', "ключ", "a.b", "a b"]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=5
).filter(lambda key: not key.startswith("$"))
texts = st.sampled_from(["x", "y", "Z", "é", "日本", "\U0001f600", "\uffee", "", '"'])
numbers = st.sampled_from([0, 1, 1.0, -1, 2, 2.5, 1e308, 5e-324, -0.0, 2**63 - 1, -(2**63), 2**53 + 1, 0.1])
scalars = st.none() | st.booleans() | numbers | texts
ordered_scalars = st.booleans() | numbers | texts
metadatas = st.dictionaries(keys, scalars | st.lists(scalars, max_size=3), max_size=4)
conditions = st.one_of(
    st.fixed_dictionaries({}, optional={"$eq": scalars, "$ne": scalars, "$exists": st.booleans()}),
    st.fixed_dictionaries({}, optional={"$in": st.lists(scalars, max_size=4), "$nin": st.lists(scalars, max_size=4)}),
    st.fixed_dictionaries({}, optional=dict.fromkeys(ORDERED, ordered_scalars)),
)
leaves = st.dictionaries(keys, scalars | conditions, max_size=3)
filters = st.recursive(
    leaves,
    lambda inner: st.fixed_dictionaries(
        {}, optional={"$and": st.lists(inner, max_size=3), "$or": st.lists(inner, max_size=3), "$not": inner}
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters, st.lists(metadatas, min_size=1, max_size=25))
async def test_postgres_judges_as_the_contract_says(dsn: str, filter_: Metadata, metadatas: list[Metadata]) -> None:
    """Whatever the filter and whatever the metadata: the predicate holds exactly where the oracle says so."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT metadata::jsonb @@ $1::jsonpath FROM unnest($2::text[]) AS metadata",
            path_of(filter_),
            [msgspec.json.encode(each).decode() for each in metadatas],
        )
    finally:
        await connection.close()
    assert [row[0] for row in rows] == [matches(filter_, each) for each in metadatas], path_of(filter_)


async def judged(dsn: str, filter_: Metadata, metadata: Metadata) -> bool | None:
    """What Postgres says of one filter and one document."""
    connection = await asyncpg.connect(dsn)
    try:
        path, raw = path_of(filter_), msgspec.json.encode(metadata).decode()
        verdict: bool | None = await connection.fetchval("SELECT $2::text::jsonb @@ $1::jsonpath", path, raw)
        return verdict
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("filter_", "metadata", "verdict"),
    [
        ({}, {}, True),
        ({"year": 1}, {"year": 1.0}, True),
        ({"year": 1}, {"year": "1"}, False),
        ({"year": 1}, {"year": True}, False),
        ({"tags": "x"}, {"tags": ["w", "x"]}, True),
        ({"tags": {"$ne": "x"}}, {"tags": ["w", "x"]}, False),
        ({"tags": {"$ne": "x"}}, {}, True),
        ({"tags": {"$nin": ["x"]}}, {}, True),
        ({"tags": {"$in": []}}, {"tags": "x"}, False),
        ({"a": None}, {"a": None}, True),
        ({"a": None}, {}, False),
        ({"a": {"$exists": True}}, {"a": None}, True),
        ({"a": {"$exists": True}}, {"a": []}, True),
        ({"a": {"$exists": False}}, {"a": []}, False),
        ({"year": {"$gte": 2020, "$lt": 2022}}, {"year": 2021}, True),
        ({"year": {"$gte": 2020}}, {"year": "2021"}, False),
        ({"name": {"$gt": "Z"}}, {"name": "a"}, True),
        ({"$or": [{"a": 1}, {"b": 2}]}, {"b": 2}, True),
        ({"$or": []}, {}, False),
        ({"$and": []}, {}, True),
        ({"$not": {"a": {"$gt": 1}}}, {"a": "text"}, True),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, False),
    ],
)
async def test_examples(dsn: str, filter_: Metadata, metadata: Metadata, verdict: bool) -> None:
    """The sentences of the contract, one by one."""
    assert matches(filter_, metadata) is verdict
    assert await judged(dsn, filter_, metadata) is verdict


async def test_long_and_deep_filters_are_judged(dsn: str) -> None:
    """Thousands of values, and the deepest nesting that is allowed, do not exhaust Postgres' stack."""
    assert await judged(dsn, {"n": {"$in": list(range(100_000))}}, {"n": 99_999})
    assert await judged(dsn, nested(DEPTH), {"a": 1})


def nested(depth: int) -> Metadata:
    """`$not` around a filter, an even number of times."""
    filter_: Metadata = {"a": 1}
    for _ in range(depth):
        filter_ = {"$not": filter_}
    return filter_


@pytest.mark.parametrize(
    ("filter_", "field"),
    [
        ({"$nor": []}, "filter.$nor"),
        ({"a": {"$regex": "x"}}, "filter.a.$regex"),
        ({"a": {"b": 1}}, "filter.a.b"),
        ({"a": [1]}, "filter.a"),
        ({"a": {"$eq": [1]}}, "filter.a.$eq"),
        ({"a": {"$in": 1}}, "filter.a.$in"),
        ({"a": {"$in": [[1]]}}, "filter.a.$in[0]"),
        ({"a": {"$exists": 1}}, "filter.a.$exists"),
        ({"$and": {"a": 1}}, "filter.$and"),
        ({"$or": [1]}, "filter.$or[0]"),
        ({"$not": []}, "filter.$not"),
        ({"a": "\0"}, "filter.a"),
        ({"a\0": 1}, "filter.a\\x00"),
        ({"a": "\ud800"}, "filter.a"),
        ({"a": float("nan")}, "filter.a"),
        (nested(DEPTH + 1), "filter" + ".$not" * (DEPTH + 1)),
    ],
)
def test_nonsense_is_refused_by_name(filter_: Metadata, field: str) -> None:
    """A filter that means nothing names the member at fault."""
    with pytest.raises(InvalidInput) as refusal:
        path_of(filter_)
    assert refusal.value.field == field

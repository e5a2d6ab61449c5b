"""Bisection finds the rows that differ, all of them and no others, however few there are."""

import random

import asyncpg
import pytest

from projections.generations import comparing
from projections.generations.comparing import Compared, Difference, Side, differences

COMPARED = Compared("t", ("collection", "document_id", "ordinal"), ("collection", "document_id", "ordinal", "a", "b"))
TABLE = """
CREATE SCHEMA {0};
CREATE TABLE {0}.t (
    collection text COLLATE "C", document_id text COLLATE "C", ordinal int, a text, b halfvec(2),
    PRIMARY KEY (collection, document_id, ordinal)
);
"""


async def found(owner: asyncpg.Connection) -> list[Difference]:
    """The differences between the two tables."""
    sides = Side(owner, "one"), Side(owner, "other")
    return [each async for each in differences(*sides, COMPARED)]


@pytest.mark.parametrize("seed", range(5))
async def test_rows_that_differ_are_found_and_no_others(
    owner: asyncpg.Connection, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are changed, removed and added by chance in 600; ranges are halved down to three rows."""
    monkeypatch.setattr(comparing, "LEAF", 3)
    draw = random.Random(seed)
    await owner.execute(TABLE.format("one") + TABLE.format("other"))
    names = draw.sample(["a", "ab", "b", "é", "日", "z", "a/b", "~"], 6)
    keys = sorted((name, f"d{number:02}", ordinal) for name in names for number in range(50) for ordinal in range(2))
    rows = {key: (f"text {index}", "[1,2]") for index, key in enumerate(keys)}
    other, expected = dict(rows), []
    for key in sorted(draw.sample(keys, draw.choice([1, 2, 40]))):
        how = draw.choice(["missing", "a", "b", "a, b", "extra"])
        expected.append(Difference("t", key, how))
        if how == "missing":
            del other[key]
        elif how == "extra":
            del rows[key]
        else:
            other[key] = ("tex" if "a" in how else rows[key][0]), ("[1,2.002]" if "b" in how else "[1,2]")
    for schema, content in (("one", rows), ("other", other)):
        columns = list(zip(*[(*key, *values) for key, values in content.items()], strict=True))
        insert = f"INSERT INTO {schema}.t SELECT c, d, o, a, b::halfvec FROM unnest"
        arguments = "($1::text[], $2::text[], $3::int[], $4::text[], $5::text[]) AS r(c, d, o, a, b)"
        await owner.execute(insert + arguments, *columns)
    assert await found(owner) == expected


async def test_nothing_and_null_are_told_apart(owner: asyncpg.Connection) -> None:
    """An empty text is another value than none, and a value in one column another than in the next."""
    await owner.execute(TABLE.format("one") + TABLE.format("other"))
    assert await found(owner) == []
    await owner.execute("INSERT INTO one.t VALUES ('c', 'd', 0, '', NULL), ('c', 'e', 0, 'x', '[0,1]')")
    await owner.execute("INSERT INTO other.t VALUES ('c', 'd', 0, NULL, NULL), ('c', 'e', 0, 'x', '[-0,1]')")
    assert await found(owner) == [Difference("t", ("c", "d", 0), "a"), Difference("t", ("c", "e", 0), "b")]

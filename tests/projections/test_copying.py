"""Rows made into a binary COPY by us come back from Postgres as they were."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
from sqlalchemy import JSON, BigInteger, Column, DateTime, Integer, LargeBinary, Text

from projections import copying
from projections.database import connect
from projections.passages.tables import HalfVec
from schemas.errors import DataRefused
from tests.projections.logs import DIMENSIONS, vector

COLUMNS: list[Column[object]] = [
    Column("n", Integer),
    Column("big", BigInteger),
    Column("t", Text),
    Column("j", JSON),
    Column("at", DateTime(timezone=True)),
    Column("v", HalfVec(DIMENSIONS)),
]
ROWS = [
    (-(2**31), -(2**63), "", '{"a":1.0}', datetime(1969, 12, 31, 23, 59, 59, 999000, UTC), vector(1)),
    (2**31 - 1, 2**63 - 1, "年輪 \t\n\\N", "[]", datetime(2026, 11, 21, 20, 0, 0, 1000, UTC), vector(2)),
    (None, None, None, None, None, vector(3)),
]


@pytest.fixture
async def table(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection with an empty table of all the types that read models have."""
    connection = await connect(dsn, application="a test")
    await connection.execute(
        "CREATE EXTENSION IF NOT EXISTS vector;"
        f"CREATE TEMPORARY TABLE t (n int, big bigint, t text, j json, at timestamptz, v halfvec({DIMENSIONS}))"
    )
    yield connection
    await connection.close()


async def test_they_come_back(table: asyncpg.Connection) -> None:
    """Ends of ranges, nulls, times before the epochs, any text, and every bit of a vector."""
    rows = copying.encoder(COLUMNS)(ROWS)
    assert len(rows) == len(ROWS)

    async def binary() -> AsyncIterator[bytes]:
        yield copying.HEAD + b"".join(rows) + copying.TAIL

    await table.copy_to_table("t", source=binary(), format="binary")
    assert [tuple(row) for row in await table.fetch("SELECT * FROM t ORDER BY n NULLS LAST")] == ROWS


@pytest.mark.parametrize("rows", [ROWS, [ROWS[0]] * 3, [ROWS[0], ROWS[0], ROWS[2]]])
def test_a_row_is_the_same_bytes_whatever_its_neighbours_hold(rows: list[tuple[object, ...]]) -> None:
    """A value that is in all of them is made once, for whichever columns it is."""
    encode = copying.encoder(COLUMNS)
    assert encode(rows) == [made for row in rows for made in encode([row])]


@pytest.mark.parametrize("value", ["a\ud800b", 2**63])
def test_what_no_column_holds_is_the_fault_of_the_row(value: object) -> None:
    """Before Postgres sees it, with the error that Postgres' refusals become."""
    column = COLUMNS[2] if isinstance(value, str) else COLUMNS[1]
    with pytest.raises(DataRefused):
        copying.encoder([column])([(value,)])


def test_a_type_without_a_form_is_told_at_once() -> None:
    """Not when its first row comes."""
    with pytest.raises(TypeError, match="no binary form"):
        copying.encoder([Column("b", LargeBinary)])


def test_no_rows_are_no_bytes() -> None:
    """A batch of removals has none."""
    assert copying.encoder(COLUMNS)([]) == []

"""The parked events of a generation, as the transaction that parks or heals them sees them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg
import msgspec

from projections import parking
from projections.generations.tables import UNRESOLVED
from projections.parking import Row, Settled, Standing, Waiting
from projections.port import Entry, Order
from schemas.errors import TooManyParked

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('nenrin.parked.' || $1, 0))"
"""Who parks in a generation, or resolves by hand, takes turns: the limit is one for all its partitions."""

_RETRIED = """EXISTS (
    SELECT 1 FROM nenrin.decisions d JOIN {schema}.positions o
        ON o.topic = d.topic AND o.partition = d.partition AND o.incarnation = d.incarnation
    WHERE d.projection = $1 AND d.topic = p.topic AND d.partition = p.partition AND d."offset" = p."offset"
      AND d.retried_as IS NOT NULL
)"""
_WAITING = f"""
SELECT p.key, p."offset", coalesce(p.rank, p."offset") AS rank, {_RETRIED} AS retried FROM {{schema}}.parked p
WHERE p.topic = $2 AND p.partition = $3 AND {UNRESOLVED}
  AND md5(p.key) IN (SELECT md5(key) FROM unnest($4::bytea[]) AS keys(key)) AND p.key = ANY($4)
ORDER BY rank
"""
_COUNT = f"SELECT count(*) FROM {{schema}}.parked p WHERE {UNRESOLVED} AND NOT {_RETRIED}"
_ALL_WAITING = f"""
SELECT p.partition, p.key, p."offset", coalesce(p.rank, p."offset") AS rank, {_RETRIED} AS retried
FROM {{schema}}.parked p WHERE p.topic = $2 AND p.key IS NOT NULL AND {UNRESOLVED}
ORDER BY rank
"""
_RESOLVE = f"""
UPDATE {{schema}}.parked p SET resolved_by = r.by FROM unnest($3::bigint[], $4::bigint[]) AS r("offset", by)
WHERE p.topic = $1 AND p.partition = $2 AND p."offset" = r."offset" AND {UNRESOLVED}
"""
_SKIPPED = """
SELECT d."offset", d.skipped_at FROM nenrin.decisions d JOIN {schema}.positions o
    ON o.topic = d.topic AND o.partition = d.partition AND o.incarnation = d.incarnation
WHERE d.projection = $1 AND d.topic = $2 AND d.partition = $3 AND d."offset" = ANY($4) AND d.skipped_at IS NOT NULL
"""
_ALL_SKIPPED = """
SELECT d.partition, d."offset", d.skipped_at FROM nenrin.decisions d JOIN {schema}.positions o
    ON o.topic = d.topic AND o.partition = d.partition AND o.incarnation = d.incarnation
WHERE d.projection = $1 AND d.topic = $2 AND d.skipped_at IS NOT NULL
"""
_COLUMNS = (
    "topic", "partition", "offset", "key", "reason", "value", "headers", "resolved_by", "skipped_at", "rank",
)  # fmt: skip


class ParkingLot:
    """What one generation has parked. At most `limit` events that nobody has dealt with."""

    def __init__(self, projection: str, schema: str, order: Order, limit: int) -> None:
        self.limit = limit
        self._projection = projection
        self._schema = schema
        self._order = order

    async def settle(
        self, connection: asyncpg.Connection, entries: Sequence[Entry], skipped: Mapping[int, datetime]
    ) -> Settled:
        """Say what becomes of each event of a batch of one partition; fewer than there are: no room for the next."""
        if not entries:
            return Settled([], [], {})
        waiting = await self._waiting(connection, entries)
        parks = any(map(parking.is_parked, entries)) or (bool(waiting) and self._order is Order.APPEND)
        room = await self._room(connection) if parks else self.limit
        return parking.settle(entries, self._order, Standing(waiting, room, skipped))

    async def skipped(self, connection: asyncpg.Connection, entries: Sequence[Entry]) -> dict[int, datetime]:
        """Which of them an operator has given up, and when: in another build of the projection, that was ahead."""
        place = entries[0].place
        offsets = [entry.place.offset for entry in entries]
        rows = await connection.fetch(self._sql(_SKIPPED), self._projection, place.topic, place.partition, offsets)
        return {row["offset"]: row["skipped_at"] for row in rows}

    async def standing(self, connection: asyncpg.Connection, topic: str, partitions: int) -> list[Standing]:
        """What is parked in every partition of a topic, and all that operators gave up there."""
        waiting: list[dict[bytes, list[Waiting]]] = [{} for _ in range(partitions)]
        skipped: list[dict[int, datetime]] = [{} for _ in range(partitions)]
        for row in await connection.fetch(self._sql(_ALL_WAITING), self._projection, topic):
            those = waiting[row["partition"]].setdefault(row["key"], [])
            those.append(Waiting(row["offset"], row["rank"], row["retried"]))
        for row in await connection.fetch(self._sql(_ALL_SKIPPED), self._projection, topic):
            skipped[row["partition"]][row["offset"]] = row["skipped_at"]
        room = self.limit - await connection.fetchval(self._sql(_COUNT), self._projection)
        return [Standing(waiting[partition], room, skipped[partition]) for partition in range(partitions)]

    async def _waiting(self, connection: asyncpg.Connection, entries: Sequence[Entry]) -> dict[bytes, list[Waiting]]:
        place, found = entries[0].place, dict[bytes, list[Waiting]]()
        keys = list({entry.key for entry in entries if entry.key is not None})
        for row in await connection.fetch(self._sql(_WAITING), self._projection, place.topic, place.partition, keys):
            found.setdefault(row["key"], []).append(Waiting(row["offset"], row["rank"], row["retried"]))
        return found

    async def _room(self, connection: asyncpg.Connection) -> int:
        await connection.execute(LOCK, self._schema)
        count: int = await connection.fetchval(self._sql(_COUNT), self._projection)
        return self.limit - count

    def full(self, entry: Entry) -> TooManyParked:
        """There is no room to park this one."""
        place = entry.place
        return TooManyParked(
            f"{self._projection} has parked {self.limit} events that nobody has dealt with, and "
            f"{place.topic}/{place.partition}@{place.offset} would be one more: look at them with `nenrin parked "
            "list`, then `nenrin parked retry` or `skip` some, or raise NENRIN_PARK_LIMIT"
        )

    async def record(self, connection: asyncpg.Connection, settled: Settled) -> None:
        """Park what is to be parked, and mark what is resolved."""
        if settled.resolved:
            place = settled.entries[0].place
            offsets, by = list(settled.resolved), list(settled.resolved.values())
            await connection.execute(self._sql(_RESOLVE), place.topic, place.partition, offsets, by)
        if settled.rows:
            await connection.copy_records_to_table(
                "parked", schema_name=self._schema, columns=_COLUMNS, records=[_columns(row) for row in settled.rows]
            )

    def _sql(self, template: str) -> str:
        return template.format(schema=self._schema)


def _columns(row: Row) -> tuple[object, ...]:
    entry = row.entry
    return (
        entry.place.topic,
        entry.place.partition,
        entry.place.offset,
        entry.key,
        _storable(row.reason),
        entry.value,
        msgspec.msgpack.encode(entry.headers),
        row.resolved_by,
        row.skipped_at,
        row.rank,
    )


def _storable(reason: str) -> str:
    """A reason may quote what strangers wrote, and Postgres' text has no U+0000 and no lone surrogates."""
    return reason.replace("\0", "\\0").encode(errors="backslashreplace").decode()

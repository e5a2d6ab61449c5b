"""The one shape of transaction: rows, position and epoch change together, or not at all.

A claim makes its owner the only writer of its partitions; the compare-and-set on epoch and position in every
transaction is what holds it to that.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import asyncpg
import msgspec
import structlog

from projections import digests, parking
from projections.database import CHANNEL, connect, translated
from projections.digests import Tally
from projections.generations.tables import schema_of
from projections.port import Entry, Folded, ReadModel
from projections.positions import Position, after, continuing
from schemas.errors import DataRefused, Fenced, GenerationOutdated, NotClaimed, OtherIncarnation, TopicMismatch

log = structlog.get_logger()

_KNOWN = "SELECT partition, incarnation FROM {schema}.positions WHERE topic = $1"
_COLUMNS = """
SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
"""
_TERMINATE = """
SELECT pg_terminate_backend(a.pid, 5000)
FROM {schema}.positions p JOIN pg_stat_activity a ON a.pid = p.backend_pid AND a.backend_start = p.backend_start
WHERE p.topic = $1 AND p.partition = ANY($2) AND a.pid <> pg_backend_pid()
"""
_CLAIM = """
UPDATE {schema}.positions SET
    epoch = epoch + 1, claimed_at = clock_timestamp(), backend_pid = pg_backend_pid(),
    backend_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
WHERE topic = $1 AND partition = ANY($2)
RETURNING partition, epoch, next, read_next
"""
_ADVANCE = """
UPDATE {schema}.positions SET next = $5, read_next = $6, committed_at = clock_timestamp()
WHERE topic = $1 AND partition = $2 AND epoch = $3 AND next = $4
"""
_DELETE = """
DELETE FROM {schema}.{table} WHERE (collection, document_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""
_COUNT = """
INSERT INTO {schema}.digests AS d (partition, collection, documents, passages, content, vectors)
SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::numeric[], $6::numeric[])
ON CONFLICT (partition, collection) DO UPDATE SET
    documents = d.documents + excluded.documents, passages = d.passages + excluded.passages,
    content = mod(d.content + excluded.content, 18446744073709551616),
    vectors = mod(d.vectors + excluded.vectors, 18446744073709551616)
"""
_HEAL = """
UPDATE {schema}.parked p SET resolved_by = g.at
FROM unnest($3::bytea[], $4::bigint[]) AS g(key, at)
WHERE p.topic = $1 AND p.partition = $2 AND p.resolved_by IS NULL
  AND md5(p.key) = md5(g.key) AND p.key = g.key AND p."offset" < g.at
"""
_PARK = ("topic", "partition", "offset", "key", "reason", "value", "headers", "resolved_by")


class Claim(msgspec.Struct):
    """The right to write one partition of a generation, until somebody else claims it."""

    topic: str
    partition: int
    epoch: int
    position: Position


class Writer:
    """Writes one generation of a projection.

    Every claim is made on a connection of its own, so that ending the backend of a partition's previous owner never
    hits what that owner has claimed since.
    """

    def __init__(
        self,
        model: ReadModel,
        generation: int,
        dsn: str,
        committed: Callable[[Sequence[Entry]], None] = lambda _: None,
    ) -> None:
        """`committed` is told what each transaction has applied, parked or skipped."""
        self._model = model
        self._schema = schema_of(model.name, generation)
        self._dsn = dsn
        self._committed = committed
        self._connection: asyncpg.Connection | None = None
        self._claims: dict[int, Claim] = {}
        self._turn = asyncio.Lock()  # a rebalance may ask for a claim while a batch is being applied

    @property
    def name(self) -> str:
        """The projection's."""
        return self._model.name

    async def release(self) -> None:
        """Finish what is being written, and let go of the connection and of all claims."""
        async with self._turn:
            self._let_go()

    def _let_go(self) -> None:
        self._claims = {}
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def claim(
        self, topic: str, partitions: Collection[int], incarnation: str, count: int
    ) -> Mapping[int, Position]:
        """Take partitions over, ending the backend of whoever wrote them, and say where to go on.

        Claims held before and not named here are given up. `topic` is the source's logical name, `incarnation` its
        topic id and `count` the number of its partitions. Raises `TopicMismatch` when the generation was made for
        another number, `OtherIncarnation` when the topic is not the one that the positions count, `GenerationOutdated`
        when another version of Nenrin made its tables, and `DatabaseAway`.
        """
        async with self._turn:
            self._let_go()
            self._connection = connection = await connect(self._dsn, application=f"nenrin projector {self._schema}")
            with translated():
                known = await connection.fetch(self._sql(_KNOWN), topic)
                self._check(topic, incarnation, count, known)
                await self._check_tables(connection)
                await connection.execute(self._sql(_TERMINATE), topic, list(partitions))
                rows = await connection.fetch(self._sql(_CLAIM), topic, list(partitions))
            self._claims = {
                row["partition"]: Claim(topic, row["partition"], row["epoch"], Position(row["next"], row["read_next"]))
                for row in rows
            }
            return {partition: claim.position for partition, claim in self._claims.items()}

    def _check(self, topic: str, incarnation: str, count: int, known: Sequence[asyncpg.Record]) -> None:
        if (made_for := len(known)) != count:
            raise TopicMismatch(
                f"{topic} has {count} partitions, but {self._schema} was made for {made_for}: the number is fixed "
                "for an incarnation; restore the topic, or make projection and topic anew"
            )
        for row in known:
            if row["incarnation"] != incarnation:
                raise OtherIncarnation(
                    f"{topic} was recreated: {self._schema} counts offsets of incarnation {row['incarnation']}, "
                    f"the topic is now {incarnation}; make the projection anew from the new topic"
                )

    async def _check_tables(self, connection: asyncpg.Connection) -> None:
        for table in self._model.tables:
            found = {row[0] for row in await connection.fetch(_COLUMNS, f"{self._schema}.{table}")}
            if missing := [column for column in self._model.columns(table) if column not in found]:
                name = self._model.name
                raise GenerationOutdated(
                    f"{self._schema}.{table} has no column {', '.join(missing)}: another version of Nenrin made it. "
                    f"All that it holds is in the log: DROP SCHEMA {self._schema} CASCADE; DELETE FROM "
                    f"nenrin.projections WHERE name = '{name}'; DELETE FROM nenrin.generations WHERE projection = "
                    f"'{name}'; then run `nenrin init`, and it is made anew"
                )

    def position(self, partition: int) -> Position:
        """Where a claimed partition stands. Raises `NotClaimed`."""
        return self._claim(partition).position

    def _claim(self, partition: int) -> Claim:
        try:
            return self._claims[partition]
        except KeyError:
            raise NotClaimed(f"{self._schema}: partition {partition} is not claimed here") from None

    async def apply(self, partition: int, entries: Sequence[Entry]) -> Position:
        """Apply a batch of one partition in one transaction, and say where it stands then.

        Duplicates fall away. An event that Postgres refuses is found by halving and parked; its neighbours go on.
        Raises `NotClaimed`, `Gap`, `Fenced`, `DatabaseAway`; then nothing of the batch is written.
        """
        async with self._turn:
            claim = self._claim(partition)
            fresh = continuing(claim.position, entries)
            target = after(claim.position, entries)
            if target != claim.position:
                await self._commit(claim, fresh, target)
            return claim.position

    async def _commit(self, claim: Claim, fresh: Sequence[Entry], target: Position) -> None:
        try:
            folded = self._model.evolve(fresh)
            async with self._transaction() as connection:
                await self._advance(connection, claim, target)
                await self._write(connection, claim, folded)
                await self._park(connection, claim, fresh)
                await self._notify(connection, claim, target)
        except DataRefused as refusal:
            await self._isolate(claim, fresh, target, refusal)
        else:
            claim.position = target
            self._committed(fresh)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[asyncpg.Connection]:
        if self._connection is None:
            raise NotClaimed(f"{self._schema}: nothing is claimed here")
        with translated():
            async with self._connection.transaction():
                yield self._connection

    async def _isolate(self, claim: Claim, fresh: Sequence[Entry], target: Position, refusal: DataRefused) -> None:
        """Halve the batch until the event that Postgres refuses stands alone, and park that one."""
        if len(fresh) > 1:
            middle = len(fresh) // 2
            await self._commit(claim, fresh[:middle], after(claim.position, fresh[:middle]))
            await self._commit(claim, fresh[middle:], target)
            return
        if not fresh or parking.is_parked(fresh[0]):
            raise refusal
        log.warning("event parked", place=fresh[0].place, reason=str(refusal))
        await self._commit(claim, [parking.refused(fresh[0], f"Postgres refuses it: {refusal}")], target)

    async def _advance(self, connection: asyncpg.Connection, claim: Claim, target: Position) -> None:
        done = await connection.execute(
            self._sql(_ADVANCE),
            claim.topic,
            claim.partition,
            claim.epoch,
            claim.position.next,
            target.next,
            target.read_next,
        )
        if done != "UPDATE 1":
            raise Fenced(
                f"{self._schema}: partition {claim.partition} belongs to another projector now; "
                f"epoch {claim.epoch} is over"
            )

    async def _write(self, connection: asyncpg.Connection, claim: Claim, folded: Sequence[Folded]) -> None:
        if not folded:
            return
        replaced = await self._delete(connection, folded)
        for table in self._model.tables:
            rows = [row for item in folded for row in item.rows.get(table, ())]
            if rows:
                await connection.copy_records_to_table(
                    table, schema_name=self._schema, columns=self._model.columns(table), records=rows
                )
        await self._count(connection, claim, digests.changes(folded, replaced))

    async def _delete(self, connection: asyncpg.Connection, folded: Sequence[Folded]) -> list[tuple[str, Tally]]:
        """Delete what stands under the batch's documents; returns what each of them counted for."""
        keys = [item.collection for item in folded], [item.document_id for item in folded]
        first, *others = self._model.tables
        returning = " RETURNING collection, " + self._model.tallied
        rows = await connection.fetch(self._sql(_DELETE + returning, table=first), *keys)
        if rows:
            for table in others:
                await connection.execute(self._sql(_DELETE, table=table), *keys)
        return [(row[0], Tally(1, row[1], row[2] % digests.MODULUS, row[3] % digests.MODULUS)) for row in rows]

    async def _count(self, connection: asyncpg.Connection, claim: Claim, moved: Mapping[str, Tally]) -> None:
        if moved:
            await connection.execute(
                self._sql(_COUNT),
                claim.partition,
                list(moved),
                [tally.documents for tally in moved.values()],
                [tally.passages for tally in moved.values()],
                [Decimal(tally.content) for tally in moved.values()],
                [Decimal(tally.vectors) for tally in moved.values()],
            )

    async def _park(self, connection: asyncpg.Connection, claim: Claim, fresh: Sequence[Entry]) -> None:
        if healed := parking.healing(fresh):
            await connection.execute(
                self._sql(_HEAL), claim.topic, claim.partition, list(healed), list(healed.values())
            )
        if rows := parking.to_park(fresh):
            await connection.copy_records_to_table("parked", schema_name=self._schema, columns=_PARK, records=rows)

    async def _notify(self, connection: asyncpg.Connection, claim: Claim, target: Position) -> None:
        payload = f"{self._model.name} {claim.partition} {target.next}"
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)

    def _sql(self, template: str, **names: str) -> str:
        return template.format(schema=self._schema, **names)

"""The one shape of transaction: rows, position and epoch change together, or not at all.

A claim makes its owner the only writer of its partitions; the compare-and-set on epoch and position in every
transaction is what holds it to that.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal

import asyncpg
import msgspec
import structlog

from projections import digests, parking
from projections.database import CHANNEL, connect, translated
from projections.digests import Tally
from projections.generations.tables import schema_of
from projections.parking_lot import ParkingLot
from projections.port import Change, Entry, Folded, ReadModel
from projections.positions import CUT, Position, after, continuing
from schemas.errors import (
    DatabaseAway,
    DataRefused,
    Fenced,
    GenerationOutdated,
    LogCut,
    NotClaimed,
    OtherIncarnation,
    TopicMismatch,
)
from schemas.mending import COPY, DOCTOR, REBUILD, RESET_ALL

FINISH_WITHIN = 4.0
"""Seconds for a transaction under way to end when its partitions are let go of: less than a process has to stop in."""

log = structlog.get_logger()

_KNOWN = "SELECT partition, incarnation FROM {schema}.positions WHERE topic = $1"
_COLUMNS = """
SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
"""
_SHAPE = "SELECT shape FROM nenrin.generations WHERE projection = $1 AND generation = $2"
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
_STANDING = "SELECT partition, epoch, next FROM {schema}.positions WHERE topic = $1"
_CUT = "UPDATE {schema}.positions SET incarnation = $3 WHERE topic = $1 AND incarnation = $2"
_END_OWN = """
SELECT pg_terminate_backend(a.pid, 5000)
FROM {schema}.positions p JOIN unnest($2::int[], $3::bigint[]) AS held(partition, epoch) USING (partition, epoch)
    JOIN pg_stat_activity a ON a.pid = p.backend_pid AND a.backend_start = p.backend_start
WHERE p.topic = $1 AND a.pid <> pg_backend_pid()
"""
_RENEW = """
UPDATE {schema}.positions p SET
    epoch = p.epoch + 1, claimed_at = clock_timestamp(), backend_pid = pg_backend_pid(),
    backend_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
FROM unnest($2::int[], $3::bigint[]) AS held(partition, epoch)
WHERE p.topic = $1 AND p.partition = held.partition AND p.epoch = held.epoch
RETURNING p.partition, p.epoch, p.next, p.read_next
"""
_ADVANCE = """
UPDATE {schema}.positions p SET next = $5, read_next = $6, committed_at = clock_timestamp()
WHERE topic = $1 AND partition = $2 AND epoch = $3 AND next = $4
RETURNING EXISTS (
    SELECT 1 FROM nenrin.decisions d
    WHERE d.projection = $7 AND d.topic = $1 AND d.incarnation = p.incarnation AND d.partition = $2
      AND d."offset" >= $4 AND d."offset" < $5 AND d.skipped_at IS NOT NULL
)
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


class Claim(msgspec.Struct):
    """The right to write one partition of a generation, until somebody else claims it."""

    topic: str
    partition: int
    epoch: int
    position: Position


class _Full(Exception):
    """There is no room to park the event behind the first `fitting` ones of a batch."""

    def __init__(self, fitting: int) -> None:
        super().__init__(fitting)
        self.fitting = fitting


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
        park_limit: int = parking.LIMIT,
    ) -> None:
        """`committed` is told what each transaction has applied, parked or skipped."""
        self._model = model
        self._generation = generation
        self._schema = schema_of(model.name, generation)
        self._dsn = dsn
        self._committed = committed
        self._lot = ParkingLot(model.name, self._schema, model.order, park_limit)
        self._connection: asyncpg.Connection | None = None
        self._claims: dict[int, Claim] = {}
        self._turn = asyncio.Lock()  # a rebalance may ask for a claim while a batch is being applied

    @property
    def name(self) -> str:
        """The projection's."""
        return self._model.name

    @property
    def schema(self) -> str:
        """The generation's."""
        return self._schema

    async def release(self) -> None:
        """Finish what is being written, and let go of the connection and of all claims.

        What Postgres does not finish in time is broken off; `apply` then raises `DatabaseAway`.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_WITHIN), self._turn:
                self._let_go()
                return
        self._disconnect()
        async with self._turn:
            self._let_go()

    def _let_go(self) -> None:
        self._claims = {}
        self._disconnect()

    def _disconnect(self) -> None:
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

    async def renew(self) -> None:
        """After `DatabaseAway`: claim anew, on a new connection, what is claimed here and by nobody else since.

        The positions then say how the last transaction ended. Raises `Fenced` when one is no longer ours or was moved
        back, `NotClaimed` when there is none, and `DatabaseAway`, after which it can be called again.
        """
        async with self._turn:
            held = {claim.partition: claim for claim in self._claims.values()}
            if not held:
                raise NotClaimed(f"{self._schema}: nothing is claimed here")
            self._disconnect()
            connection = await connect(self._dsn, application=f"nenrin projector {self._schema}")
            try:
                self._claims = await self._renewed(connection, held)
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection

    async def _renewed(self, connection: asyncpg.Connection, held: Mapping[int, Claim]) -> dict[int, Claim]:
        topic = next(iter(held.values())).topic
        epochs = [claim.epoch for claim in held.values()]
        with translated():
            await connection.execute(self._sql(_END_OWN), topic, list(held), epochs)
            rows = await connection.fetch(self._sql(_RENEW), topic, list(held), epochs)
        for row in rows:
            if row["next"] < (before := held[row["partition"]].position.next):
                raise Fenced(
                    f"{self._schema}: the position of partition {row['partition']} went back from {before} to "
                    f"{row['next']}, as in a database that was restored; begin anew from there"
                )
        if lost := held.keys() - {row["partition"] for row in rows}:
            raise Fenced(f"{self._schema}: partitions {sorted(lost)} belong to another projector now")
        return {
            row["partition"]: Claim(topic, row["partition"], row["epoch"], Position(row["next"], row["read_next"]))
            for row in rows
        }

    async def confirm(self, connection: asyncpg.Connection) -> None:
        """Ask whether the claims still hold, for an owner that has nothing to write and would never notice.

        Raises `Fenced` where they don't: somebody else has claimed, or the database was replaced by an older one.
        """
        async with self._turn:
            for topic in {claim.topic for claim in self._claims.values()}:
                with translated():
                    rows = await connection.fetch(self._sql(_STANDING), topic)
                standing = {row["partition"]: (row["epoch"], row["next"]) for row in rows}
                for partition, claim in self._claims.items():
                    epoch, next_ = standing.get(partition, (0, 0))
                    if epoch != claim.epoch or next_ < claim.position.next:
                        raise Fenced(
                            f"{self._schema}: partition {partition} is at {next_} in epoch {epoch}, not at "
                            f"{claim.position.next} in epoch {claim.epoch}: claimed by another projector, or restored "
                            "from a backup; begin anew from there"
                        )

    def _check(self, topic: str, incarnation: str, count: int, known: Sequence[asyncpg.Record]) -> None:
        for row in known:
            if row["incarnation"] == incarnation + CUT:
                raise LogCut(
                    f"{topic} has lost records at its end that {self._schema} counts: `{RESET_ALL}` begins anew with "
                    "what is left"
                )
            if row["incarnation"] != incarnation:
                raise OtherIncarnation(
                    f"{topic} was recreated: {self._schema} counts offsets of incarnation {row['incarnation']}, "
                    f"the topic is now {incarnation}; `{RESET_ALL}` begins anew with what is in it now"
                )
        if (made_for := len(known)) != count:
            raise TopicMismatch(
                f"{topic} has {count} partitions, but {self._schema} was made for {made_for}: the number is fixed for "
                f"an incarnation, for the order of a document's events hangs on it; `{COPY}` brings the log into a "
                f"topic of {made_for} partitions, and `{DOCTOR}` says the steps"
            )

    async def cut(self, topic: str, incarnation: str) -> None:
        """Remember that the log lost records that this generation counts.

        When it has grown again beyond the positions nothing else would tell, and other events under the same offsets
        would be taken for known. Readers see another incarnation than the log's: their lag is unknown.
        """
        async with self._turn:
            if self._connection is not None:
                with translated():
                    await self._connection.execute(self._sql(_CUT), topic, incarnation, incarnation + CUT)

    async def _check_tables(self, connection: asyncpg.Connection) -> None:
        shape = await connection.fetchval(_SHAPE, self._model.name, self._generation)
        if shape is not None and shape > self._model.shape:  # an older one serves, and is served, until it is replaced
            raise GenerationOutdated(
                f"{self._schema} was made in shape {shape} of {self._model.name} by a later version of Nenrin, this "
                f"one keeps shape {self._model.shape}: `{REBUILD} {self._model.name}` makes one of that from the log"
            )
        for table in self._model.tables:
            found = {row[0] for row in await connection.fetch(_COLUMNS, f"{self._schema}.{table}")}
            if missing := [column for column in self._model.columns(table) if column not in found]:
                raise GenerationOutdated(
                    f"{self._schema}.{table} has no column {', '.join(missing)}: another version of Nenrin made it. "
                    f"All that it holds is in the log: `{REBUILD} {self._model.name}` makes it anew"
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
        Raises `NotClaimed`, `Gap`, `Fenced`; `DatabaseAway`, after which only `renew` can tell how it ended; and
        `TooManyParked`, with everything before the event applied that there is no room for.
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
            settled = await self._transact(claim, fresh, target)
        except DataRefused as refusal:
            await self._isolate(claim, fresh, target, refusal)
        except _Full as full:
            await self._fill(claim, fresh, full.fitting)
        else:
            claim.position = target
            self._committed(settled)

    async def _transact(self, claim: Claim, fresh: Sequence[Entry], target: Position) -> Sequence[Entry]:
        async with self._transaction() as connection:
            some_skipped = await self._advance(connection, claim, target)
            skipped = await self._lot.skipped(connection, fresh) if some_skipped and fresh else {}
            settled = await self._lot.settle(connection, fresh, skipped)
            if len(settled.entries) < len(fresh):
                raise _Full(len(settled.entries))
            await self._write(connection, claim, self._model.evolve(settled.entries))
            await self._lot.record(connection, settled)
            await self._notify(connection, claim, target)
        return settled.entries

    async def _fill(self, claim: Claim, fresh: Sequence[Entry], fitting: int) -> None:
        """Apply what comes before the event that there is no room for, and say so."""
        if fitting:
            await self._commit(claim, fresh[:fitting], after(claim.position, fresh[:fitting]))
        raise self._lot.full(fresh[fitting])

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[asyncpg.Connection]:
        if self._connection is None:
            raise DatabaseAway(f"{self._schema}: the connection that held the claims is gone")
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
        (entry,) = fresh or (None,)
        if entry is not None and isinstance(entry.content, Change):
            log.warning("event parked", place=entry.place, reason=str(refusal))
            parked = parking.refused(entry, f"Postgres refuses it: {refusal}")
        elif entry is not None and parking.is_parked(entry) and entry != parking.bare(entry):
            parked = parking.bare(entry)
        else:
            raise refusal
        await self._commit(claim, [parked], target)

    async def _advance(self, connection: asyncpg.Connection, claim: Claim, target: Position) -> bool:
        """Move the position, if it is still ours to move. Returns whether an operator skipped something on the way."""
        moved = await connection.fetchrow(
            self._sql(_ADVANCE),
            claim.topic,
            claim.partition,
            claim.epoch,
            claim.position.next,
            target.next,
            target.read_next,
            self._model.name,
        )
        if moved is None:
            raise Fenced(
                f"{self._schema}: partition {claim.partition} belongs to another projector now; "
                f"epoch {claim.epoch} is over"
            )
        return bool(moved[0])

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

    async def _notify(self, connection: asyncpg.Connection, claim: Claim, target: Position) -> None:
        payload = f"{self._model.name} {claim.partition} {target.next}"
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)

    def _sql(self, template: str, **names: str) -> str:
        return template.format(schema=self._schema, **names)

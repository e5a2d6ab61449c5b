"""Records in one stream: in order, acknowledged at the end, and with the truth about each when it breaks."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Generic, TypeVar

from confluent_kafka import KafkaError, Message

from schemas import topics
from schemas.errors import InvalidInput, LogAway
from schemas.topics import SOURCE_RECORD_LIMIT
from schemas.versions import Version
from services.command.bulk import POLL, BulkLife
from services.command.ledger import Ledger
from services.command.producing import NOWHERE, Outgoing, place_of

M = TypeVar("M")

DEADLINE = 4.2
"""Seconds without an acknowledgement of the first record that waits for one, after which the stream is cut off."""

TURN = 0.003
"""Seconds of work after which other requests have their turn."""

GOODBYE = 1.0
"""Seconds that a stopping service waits for the acknowledgements of what was handed over."""

PLAIN_LIMIT = SOURCE_RECORD_LIMIT - 16 * 1024
"""Bytes of a record, its headers aside, that go uncompressed into the topic."""


class Stream(Generic[M]):
    """Records in order, each with its mark in the `ledger`. Write them inside `writing`."""

    def __init__(
        self,
        life: Callable[[], Awaitable[BulkLife]],
        discard: Callable[[BulkLife, str], None],
        giant: Callable[[Outgoing], Awaitable[Version]],
    ) -> None:
        """`life` finds a usable producer, `discard` ends it; `giant` writes a record that must be compressed."""
        self.ledger: Ledger[M] = Ledger()
        self._find, self._discard, self._giant = life, discard, giant
        self._life: BulkLife | None = None
        self._cut: str | None = None
        self._over = False
        self._waiting: tuple[int | None, float] = (None, 0.0)
        self._patience = asyncio.timeout(None)
        self._turn_ends = 0.0

    @property
    def version(self) -> Version:
        """Covers every acknowledged record; that of nothing where there is none."""
        if self._life is None or not self.ledger.offsets:
            return Version()
        return Version({topics.DOCUMENTS: dict(self.ledger.offsets)}, {topics.DOCUMENTS: self._life.incarnation})

    @property
    def outcome(self) -> str:
        """What became of everything behind the acknowledged records."""
        return "unknown" if self.ledger.open else "not_written"

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Be able to write; at the end all is acknowledged. Raises `LogAway` where it isn't, or the service stops."""
        self._life = await self._find()
        try:
            async with self._patience, self._member(self._life):
                yield
                await self.acknowledged()
        except TimeoutError:
            if self._cut is None:
                raise
            raise LogAway(self.outcome, self._cut) from None
        except Exception:  # whatever its cause is, what was handed over is known soon
            await self._goodbye()
            raise
        except asyncio.CancelledError:  # its caller must still learn what the service's end means for the stream
            await self._goodbye()
            raise LogAway(self.outcome, "The service is stopping; go on when it is back.") from None

    async def write(self, record: Outgoing, mark: M) -> None:
        """Hand a record over, as soon as there is room. Raises `InvalidInput` for one that no topic takes."""
        if len(record.value) + len(record.key) > PLAIN_LIMIT:
            await self._write_giant(record, mark)
        else:
            await self._write(record, mark)

    async def acknowledged(self) -> None:
        """Wait until everything written is acknowledged."""
        while self.ledger.open:  # noqa: ASYNC110  # librdkafka sets no event, it has to be polled
            await asyncio.sleep(POLL)

    async def let_others(self) -> None:
        """Let other requests have their turn, where this one's is over."""
        if self._life is not None and time.perf_counter() > self._turn_ends:
            self._life.poll()
            await asyncio.sleep(0)
            self._turn_ends = time.perf_counter() + TURN

    def look(self, now: float) -> None:
        """Cut the stream off when the first record that waits has waited too long."""
        first = self.ledger.first_open()
        if first != self._waiting[0]:
            self._waiting = (first, now)
        elif first is not None and now - self._waiting[1] > DEADLINE:
            self._give_up(f"no acknowledgement within {DEADLINE} s")

    def cut_off(self, reason: str) -> None:
        """End the writing, wherever it is."""
        if self._cut is None and not self._over:
            self._cut = f"Kafka did not acknowledge everything: {reason}. Go on behind last_line; repeating is safe."
            self._patience.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def _member(self, life: BulkLife) -> AsyncIterator[None]:
        """Be looked at, until nothing is open: what its caller believes lost is not to be written much later."""
        life.streams.add(self)
        try:
            yield
        finally:
            self._over = True
            self._leave(life)

    def _leave(self, life: BulkLife) -> None:
        if self._over and not self.ledger.open:
            life.streams.discard(self)

    def _give_up(self, reason: str) -> None:
        if self._life is not None:
            self._discard(self._life, reason)

    def _settle(self, ticket: int, error: KafkaError | None, message: Message) -> None:
        if self._life is None or not self._life.usable:
            return
        if error is None and (place := place_of(message)) is not None:
            self.ledger.acknowledge(ticket, place.partition, place.offset + 1)
            self._leave(self._life)
        else:  # not from within librdkafka's own call
            asyncio.get_running_loop().call_soon(self._give_up, NOWHERE if error is None else error.str())

    async def _write(self, record: Outgoing, mark: M) -> None:
        assert self._life is not None, "records are written inside `writing`"
        ticket = self.ledger.hand_over(mark)
        settle = partial(self._settle, ticket)
        try:
            while not self._life.hand_over(record, settle):
                self._life.poll()
                await asyncio.sleep(POLL)
        except (LogAway, asyncio.CancelledError):
            self.ledger.withdraw(ticket)
            raise

    async def _write_giant(self, record: Outgoing, mark: M) -> None:
        """After all before it and before all behind it, for it goes through another producer."""
        await self.acknowledged()
        ticket = self.ledger.hand_over(mark)
        try:
            version = await self._giant(record)
        except (InvalidInput, LogAway) as error:
            if not isinstance(error, LogAway) or error.outcome == "not_written":
                self.ledger.withdraw(ticket)
            raise
        ((partition, following),) = version.offsets[topics.DOCUMENTS].items()
        self.ledger.acknowledge(ticket, partition, following)

    async def _goodbye(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await self.acknowledged()

"""What there is to know of Kafka and Postgres, as it was seen at one time."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from eventlog.planning import Bounds, Described
from projections.generations.shapes import Outdated
from schemas.embedded import Source

Place = tuple[str, int]
"""A topic, by its logical name, and a partition."""


class Cover(msgspec.Struct, frozen=True):
    """What a partition of the derived topic says that it covers: its first record and its last."""

    first: Source
    last: Source


class Log(msgspec.Struct, frozen=True):
    """Kafka: the topics that exist, how far they reach, what the derived one covers, and the source's last records.

    `covers` lacks partitions that hold no record; `following` is what the record covers that passages read next.
    `damaged` says which could not be read, and why. `dated` are the
    broker's times of the last records of the source, in seconds since 1970.
    """

    topics: Mapping[str, Described]
    bounds: Mapping[Place, Bounds]
    covers: Mapping[int, Cover]
    damaged: Mapping[int, str]
    dated: Mapping[int, float]
    following: Mapping[int, Source] = {}


class Position(msgspec.Struct, frozen=True):
    """Where a generation stands in a partition, and whether the database connection of its owner is alive."""

    topic: str
    partition: int
    next: int
    read_next: int
    incarnation: str
    epoch: int
    claimed_at: datetime | None
    committed_at: datetime | None
    owned: bool


class Generation(msgspec.Struct, frozen=True):
    """A live generation: its positions, and how many of its parked events wait for somebody."""

    projection: str
    number: int
    encoder: str | None
    positions: tuple[Position, ...]
    parked: int

    @property
    def name(self) -> str:
        """As people know it."""
        return f"{self.projection} generation {self.number}"


class Other(msgspec.Struct, frozen=True):
    """A generation that is not live and has not ended: the previous one, or a candidate.

    `loaded`: its rows are there. `holder` is who replays into it or holds it against the live one, and since when.
    `unowned` are the partitions that no projector writes, `behind` how many offsets the live generation is ahead.
    """

    projection: str
    number: int
    loaded: bool
    holder: str | None
    unowned: tuple[int, ...] = ()
    behind: int = 0

    @property
    def name(self) -> str:
        """As people know it."""
        return f"{self.projection} generation {self.number}"


class Database(msgspec.Struct, frozen=True):
    """Postgres: its clock, the revision of the control schema here and in the code, generations, and heads.

    `heads_seen` are the times at which the probe recorded each partition, `encoders` those that are known here,
    `outdated` the live generations that were made with another shape than the code's.
    """

    now: datetime
    revision: str | None
    newest: str | None
    live: tuple[Generation, ...]
    heads_seen: Mapping[Place, datetime]
    encoders: frozenset[str] = frozenset()
    others: tuple[Other, ...] = ()
    outdated: tuple[Outdated, ...] = ()

    @property
    def encoder(self) -> str | None:
        """The live generation's, if it is known here."""
        live = (generation.encoder for generation in self.live if generation.encoder in self.encoders)
        return next(live, None)

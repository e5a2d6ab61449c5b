"""What a process that loads a generation and its workers tell each other."""

from collections.abc import AsyncGenerator, Callable, Mapping

import msgspec

from eventlog.connection import KafkaSettings
from projections.parking import Standing
from projections.port import Entry, ReadModel
from projections.positions import Position
from services.replay.reading import Stretch

Read = Callable[..., AsyncGenerator[list[Entry]]]


class Task(msgspec.Struct, frozen=True):
    """What all of them are told first: how to read (`reading.entries`), what, and into segments of which length."""

    read: Read
    kafka: KafkaSettings
    stretch: Stretch
    until: Mapping[int, int] | None
    model: ReadModel
    schema: str
    dimensions: int | None
    limit: int


class Part(msgspec.Struct, frozen=True):
    """A partition to be folded: from `at` on; nothing is written yet where that is `begin`."""

    partition: int
    begin: Position
    at: Position
    standing: Standing


class Reached(msgspec.Struct, frozen=True):
    """How far a partition is folded."""

    partition: int
    position: Position


class Done(msgspec.Struct, frozen=True):
    """All of a partition was handed over."""


class Failed(msgspec.Struct, frozen=True):
    """The worker gives up: `reason`. Whoever folds the same in the process that writes finds it there."""

    reason: str

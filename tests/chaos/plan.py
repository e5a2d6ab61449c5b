"""The faults of a run, drawn from its seed before it begins. Pure."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

One = TypeVar("One")
SERVICES = ("command", "embedder", "projector", "heads", "query")
TARGETS = ("kafka", "postgres", *SERVICES, *(f"{service}-2" for service in SERVICES))
SESSION = 6.0
"""Seconds after which Kafka takes a consumer's partitions away; who is frozen for longer has lost them."""


class Kind(StrEnum):
    """What is done to the stack."""

    KILL = "SIGKILL"
    FREEZE = "SIGSTOP and SIGCONT"
    DISCONNECT = "drop database connections"
    SCALE_UP = "scale up"
    SCALE_DOWN = "scale down"
    RESTART = "restart the stack"
    SUPERVISOR = "SIGKILL of the supervisor"


AIMED = {Kind.KILL, Kind.FREEZE}
OF_THE_STACK = {Kind.RESTART, Kind.SUPERVISOR}
# A run goes through rounds of these, each shuffled anew and closed by a fault of the whole stack: about half a minute.
ROUND = (*(Kind.KILL,) * 4, *(Kind.FREEZE,) * 2, Kind.DISCONNECT, Kind.SCALE_UP, Kind.SCALE_DOWN)


@dataclass(frozen=True)
class Fault:
    """One fault: `at` seconds after the run began, not counting those that earlier faults took or waited.

    One that `awaits_progress` is put off until readers have seen both projections move since the last one: every
    second one, so that half of them meet a stack that still recovers, and half one at work. A frozen process stays so
    for `seconds`. After a fault of the whole stack `scale` instances of each service run.
    """

    at: float
    kind: Kind
    target: str = ""
    seconds: float = 0.0
    scale: Sequence[int] = ()
    awaits_progress: bool = False

    def __str__(self) -> str:
        scale = ", ".join(f"{service}={count}" for service, count in zip(SERVICES, self.scale, strict=False))
        details = (self.target, f"{self.seconds:.1f} s" if self.seconds else "", scale)
        return " ".join(part for part in (self.kind.value, *details) if part)


def drawn(seed: int, seconds: float) -> list[Fault]:
    """All faults of a run of so many seconds."""
    chance = random.Random(f"{seed}/faults")
    kinds, targets = _kinds(chance), _dealt(chance, TARGETS)
    faults, at = list[Fault](), 1.0
    while (at := at + chance.uniform(2.0, 4.0)) < seconds:
        fault = _fault(chance, round(at, 1), next(kinds), targets)
        faults.append(replace(fault, awaits_progress=len(faults) % 2 == 1))
    return faults


def _kinds(chance: random.Random) -> Iterator[Kind]:
    for whole in _dealt(chance, (Kind.RESTART, Kind.SUPERVISOR)):
        kinds = chance.sample(ROUND, len(ROUND))
        up, down = sorted((kinds.index(Kind.SCALE_UP), kinds.index(Kind.SCALE_DOWN)))
        kinds[up], kinds[down] = Kind.SCALE_UP, Kind.SCALE_DOWN  # the other way round there would be nothing to end
        yield from (*kinds, whole)


def _fault(chance: random.Random, at: float, kind: Kind, targets: Iterator[str]) -> Fault:
    if kind in AIMED:
        frozen = round(chance.uniform(SESSION + 1, SESSION + 4), 1)
        return Fault(at, kind, next(targets), frozen if kind is Kind.FREEZE else 0.0)
    if kind in OF_THE_STACK:
        return Fault(at, kind, scale=[chance.choice((1, 2, 2, 3)) for _ in SERVICES])
    return Fault(at, kind, "" if kind is Kind.DISCONNECT else chance.choice(("embedder", "projector", "heads")))


def _dealt(chance: random.Random, pack: Sequence[One]) -> Iterator[One]:
    """The pack, shuffled anew each time that it is used up."""
    while True:
        yield from chance.sample(pack, len(pack))

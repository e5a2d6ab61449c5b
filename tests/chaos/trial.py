"""One run: everything at once for its time, then the comparison of everything."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.chaos.calls import Caller
from tests.chaos.drawing import QUESTIONS
from tests.chaos.faults import Faults
from tests.chaos.final import Comparison
from tests.chaos.heads import Watch
from tests.chaos.judging import Judge
from tests.chaos.ledger import Ledger
from tests.chaos.pace import Ending
from tests.chaos.plan import SERVICES, drawn
from tests.chaos.producing import Straight, Transactional
from tests.chaos.reading import Readers
from tests.chaos.stack import Stack
from tests.chaos.summary import summary
from tests.chaos.web import Web
from tests.oracle import Oracle

Act = Callable[[random.Random, Ending], Coroutine[Any, Any, None]]
ENDED_WITHIN = 180.0
"""Seconds for writers, readers and the judge to finish after the last fault."""
COMPARED_WITHIN = 900.0


class Trial:
    """A stack that runs, and everyone who acts on it."""

    def __init__(self, stack: Stack, seed: int, seconds: float) -> None:
        self.stack, self.seed, self.seconds = stack, seed, seconds
        self.no_more_faults, self.ending = Ending(), Ending()
        self.web, self.ledger = Web(stack), Ledger()
        self.oracle = Oracle(stack.kafka)
        self.watch = Watch(stack)
        self.readers = Readers(self.web, self.oracle, self.ledger, lambda: self.faults.whole_since)
        self.judge = Judge(stack, self.oracle, self.readers, self.watch)
        self.faults = Faults(stack, drawn(seed, seconds), self.judge.progressed)
        self.comparison = Comparison(stack, self.web, self.judge, self.ledger)
        self.phases: dict[str, float] = {}
        self._phase_began = time.monotonic()

    def actors(self) -> list[Act]:
        """Who writes and reads at the same time."""
        caller = Caller(self.web, self.ledger, self.readers, self.oracle)
        straight = Straight(self.stack, self.ledger)
        transactional = Transactional(self.stack, self.ledger, "chaos")
        sessions = (QUESTIONS, QUESTIONS[:3], QUESTIONS[3:], QUESTIONS)
        return [
            caller.run,
            caller.run,
            straight.run,
            transactional.run,
            self.readers.pages,
            *(_session(self.readers, kinds) for kinds in sessions),
        ]

    async def run(self) -> None:
        """Act and judge for the time of the run; then finish what was begun, and compare everything."""
        async with asyncio.TaskGroup() as group:
            judge = group.create_task(self.judge.run())
            watch = group.create_task(self.watch.run(self.ending))
            acting = [group.create_task(act(self.chance(n), self.ending)) for n, act in enumerate(self.actors())]
            faults = group.create_task(self.faults.run(self.no_more_faults))
            await asyncio.sleep(self.seconds)  # the length of the run: no fault begins after it
            await self._finish(faults, acting)
            watch.cancel()
            judge.cancel()
        self.phase("faults")
        async with asyncio.timeout(COMPARED_WITHIN):
            await self.comparison.run()
        self.phase("comparison")

    async def _finish(self, faults: "asyncio.Task[None]", acting: "list[asyncio.Task[None]]") -> None:
        self.no_more_faults.set()
        await asyncio.wait([faults])
        await self.faults.heal()
        self.ending.set()
        _, late = await asyncio.wait(acting, timeout=ENDED_WITHIN)
        assert not late, f"did not end: {late}"
        async with asyncio.timeout(ENDED_WITHIN):
            await self.readers.answers.join()

    def chance(self, actor: int) -> random.Random:
        """Each actor draws from its own sequence, so that one's timing does not change another's choices."""
        return random.Random(f"{self.seed}/{actor}")

    def phase(self, name: str) -> None:
        """Note how long a part of the run took."""
        now = time.monotonic()
        self.phases[name], self._phase_began = round(now - self._phase_began, 1), now


def _session(readers: Readers, kinds: tuple[type, ...]) -> Act:
    return lambda chance, ending: readers.session(kinds, chance, ending)


async def run(state: Path, seed: int, seconds: float) -> Trial:
    """A whole run in a folder of its own, its summary printed. Raises AssertionError for what is not as it must be."""
    print(f"chaos: SEED={seed} MINUTES={seconds / 60:g}", flush=True)
    for fault in drawn(seed, seconds):
        print(f"planned {fault.at:7.1f} s  {fault}")
    stack = Stack(state)
    began = time.monotonic()
    try:
        stack.begin(dict.fromkeys(SERVICES, 2))
        await asyncio.to_thread(stack.await_answers)
        trial = Trial(stack, seed, seconds)
        trial.phases["start"] = round(time.monotonic() - began, 1)
        try:
            await trial.run()
        except BaseException:
            print(stack.said())
            raise
        finally:
            print(summary(trial), flush=True)
            await trial.web.aclose()
    finally:
        stack.stop()
    return trial

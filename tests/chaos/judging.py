"""The judge: every answer against the oracle's fold at its version, and its lag against the heads of its time."""

import asyncio
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime

from tests.chaos.heads import Heads, Watch, behind
from tests.chaos.reading import Heard, Readers
from tests.chaos.stack import Stack
from tests.oracle import Oracle, Version

READ_WITHIN = 120.0
"""Seconds for the oracle to read as far as an answer goes: Kafka may be away meanwhile."""
ROUNDED = 0.002
"""Seconds by which a time may lie below itself when it is told in milliseconds."""


@dataclass
class Judge:
    """Takes answers one by one, each in a thread of its own: there is only ever one."""

    stack: Stack
    oracle: Oracle
    readers: Readers
    watch: Watch
    judged: Counter[str] = field(default_factory=Counter)
    lags: Counter[str] = field(default_factory=Counter)
    versions: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _unsettled: deque[Heard] = field(default_factory=deque)

    async def run(self) -> None:
        """Judge for ever. Raises AssertionError for the first answer that is untrue."""
        while True:
            heard = await self.readers.answers.get()
            await asyncio.to_thread(self._judge, heard)
            self._unsettled.append(heard)
            self.settle()
            self.readers.answers.task_done()

    def _judge(self, heard: Heard) -> None:
        answer = heard.answer
        self.read_past(self.oracle.version(answer.token))
        answer.judge(self.oracle)
        self.judged[f"{type(answer.question).__name__} {answer.status}"] += 1
        self.versions[answer.question.projection].add(answer.token)
        self.lags[f"state {answer.body['projection']['state']}"] += 1

    def progressed(self) -> tuple[int, ...]:
        """How many versions of each projection readers have seen."""
        return tuple(len(self.versions[name]) for name in ("documents", "passages"))

    def read_past(self, version: Version) -> None:
        """Have the oracle read as far, from wherever Kafka is now."""
        deadline = time.monotonic() + READ_WITHIN
        while any(self.oracle.positions[at] < offset for at, offset in version.items()):
            self.oracle.follow(self.stack.kafka)
            try:
                self.oracle.read_past(version, 1)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise

    def settle(self) -> None:
        """Check the lags of answers that came before the latest look at Kafka."""
        while self._unsettled and self.watch.seen and self._unsettled[0].at <= self.watch.seen[-1].began:
            self._check_lag(self._unsettled.popleft())

    def _check_lag(self, heard: Heard) -> None:
        told = heard.answer.body["projection"]
        if told["lag_events"] is None:
            self.lags["unknown, so not compared"] += 1
            return
        version, observed = self.oracle.version(told["version"]), _observed(told)
        before, after = self.watch.before(observed - ROUNDED), self.watch.after(heard.at)
        if before is not None:
            assert told["lag_events"] >= behind(before.heads, version), _lie("too small", heard, before)
            self.lags["at least what it was before"] += 1
            self._check_age(heard, before)
        if after is not None:
            assert told["lag_events"] <= behind(after.heads, version), _lie("too large", heard, after)
            self.lags["at most what it was after"] += 1

    def _check_age(self, heard: Heard, before: Heads) -> None:
        """The oldest event that was in the log by then and is not in the answer is at most as old as is told."""
        told = heard.answer.body["projection"]
        version = self.oracle.version(told["version"])
        lacking = [self._first(at, version.get(at, 0), head) for at, head in before.heads.items()]
        times = [time_ for time_ in lacking if time_ is not None]
        if times:
            age = _observed(told) - min(times) / 1000
            assert told["lag_seconds"] >= age - ROUNDED, (f"older than told: {age} s", heard, before)
            self.lags["at least as old"] += 1

    def _first(self, at: int, start: int, end: int) -> int | None:
        """The broker's time of the first record of a partition in a range, as far as the oracle has read."""
        log = self.oracle.log[at]
        low, high = 0, len(log)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if log[middle].offset < start else (low, middle)
        return log[low].time if low < len(log) and log[low].offset < end else None


def _observed(told: dict[str, str]) -> float:
    return datetime.fromisoformat(told["head_observed_at"]).timestamp()


def _lie(how: str, heard: Heard, heads: Heads) -> str:
    return f"lag_events is {how}: {heard.answer.body['projection']} came at {heard.at}, where Kafka said {heads}"

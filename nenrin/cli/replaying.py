"""How a replay shows itself: a bar on a terminal, lines elsewhere; always on stderr, for stdout is the result's."""

import logging
import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from nenrin.cli.services import log_to_stderr
from nenrin.cli.showing import plain
from services.replay.progress import Phase

LINE_EVERY = 10.0
"""Seconds between two lines of one phase, where there is no terminal."""
UNITS = {
    Phase.COVERING: "events",
    Phase.LOADING: "events",
    Phase.INDEXING: "index entries",
    Phase.GATES: "events",
    Phase.FOLLOWING: "events",
    Phase.READING: "events",
}


class Pace:
    """How fast a phase is, and what that means for what is left."""

    def __init__(self, done: int, now: float) -> None:
        self._first, self._since = done, now

    def said(self, phase: Phase, done: int, total: int | None, now: float) -> str:
        """The numbers in a line: how much, of how much, how fast, and how long it will take yet."""
        unit, lasted = UNITS.get(phase, ""), now - self._since
        if not unit or not (done or total):
            return ""
        of = "" if total is None else f" of {total:,}"
        rate = (done - self._first) / lasted if lasted > 0.2 else 0.0
        if not rate:
            return f"{done:,}{of} {unit}"
        left = "" if total is None else f", {_duration((total - done) / rate)} left"
        return f"{done:,}{of} {unit}, {rate:,.0f}/s{left}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Lines:
    """A line when a phase begins and when it ends, and now and then in one that lasts."""

    def __init__(self) -> None:
        self._phase: Phase | None = None
        self._pace = Pace(0, 0.0)
        self._seen: tuple[int, int | None] = (0, None)
        self._said_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._numbers(time.monotonic())

    def say(self, line: str) -> None:
        """Print it."""
        print(plain(line), file=sys.stderr, flush=True)

    def show(self, phase: Phase, done: int = 0, total: int | None = None) -> None:
        """Print a line, unless the last one of the phase was a moment ago."""
        now = time.monotonic()
        if phase is not self._phase:
            self._numbers(now)
            self._phase, self._pace, self._said_at = phase, Pace(done, now), now
            self.say(f"{phase.value} …")
        self._seen = done, total
        if now - self._said_at > LINE_EVERY:
            self._said_at = now
            self._numbers(now)

    def _numbers(self, now: float) -> None:
        if self._phase is not None and (said := self._pace.said(self._phase, *self._seen, now)):
            self.say(f"{self._phase.value}: {said}")


class _Numbers(ProgressColumn):
    """What `Pace` says of a task."""

    def render(self, task: Task) -> Text:
        pace, phase = task.fields["pace"], task.fields["phase"]
        total = None if task.total is None else int(task.total)
        return Text(pace.said(phase, int(task.completed), total, time.monotonic()), "dim")


class Bar:
    """One bar a phase, on a terminal; those that are over stay as lines above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase: Phase | None = None
        self._bar = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            _Numbers(),
            TimeElapsedColumn(),
            console=console,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._end()
        self._bar.stop()

    def say(self, line: str) -> None:
        """Print it above the bar."""
        self._console.print(plain(line), style="dim", markup=False, highlight=False)

    def show(self, phase: Phase, done: int = 0, total: int | None = None) -> None:
        """Move the phase's bar; where nobody knows the end, it says only that something goes on."""
        if phase is not self._phase:
            self._end()
            self._phase = phase
            pace = Pace(done, time.monotonic())
            self._task = self._bar.add_task(phase.value, total=total, completed=done, phase=phase, pace=pace)
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total)

    def _end(self) -> None:
        if self._task is not None:
            end = self._bar.tasks[-1].total or self._bar.tasks[-1].completed
            self._bar.update(self._task, total=end, completed=end)


def shown() -> Bar | Lines:
    """What fits where stderr goes. Nothing else writes there but warnings of ours, and nothing on stdout."""
    log_to_stderr("warning")
    # ten lines a second while a broker is away, of which a replay says one
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    console = Console(stderr=True)
    return Bar(console) if console.is_terminal else Lines()

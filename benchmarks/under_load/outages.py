"""A server away for a while: frozen, so that it takes connections and never answers, or killed and kept away."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import psutil

from benchmarks.reporting import Figure
from benchmarks.under_load.callers import Callers, Series
from services.stack.supervisor import Stack

WRITES, READS, SEARCHES = 10.0, 10.0, 5.0
BEFORE = 5.0
SETTLED = 1.0
"""Seconds after the fault until every service must have noticed that an idle connection is dead."""
REFUSED_WITHIN = 5.0

Away = Callable[[Stack, str], AbstractAsyncContextManager[None]]


@contextlib.asynccontextmanager
async def frozen(stack: Stack, name: str) -> AsyncIterator[None]:
    """SIGSTOP for a server and its children, then SIGCONT."""
    leader = psutil.Process(stack.pid(name))
    all_ = [leader, *leader.children(recursive=True)]
    _signal(all_, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(all_, signal.SIGCONT)


@contextlib.asynccontextmanager
async def killed(stack: Stack, name: str) -> AsyncIterator[None]:
    """SIGKILL, and no restart until the end."""
    os.kill(stack.pid(name), signal.SIGKILL)
    await stack.stop(name)
    try:
        yield
    finally:
        await stack.start(name)


HOW: dict[str, Away] = {"frozen": frozen, "killed": killed}


async def kafka(stack: Stack, callers: Callers, seconds: float) -> list[Figure]:
    """Without Kafka: commands are refused in time, queries go on."""
    return [figure for how in HOW for figure in await _without("kafka", how, stack, callers, seconds)]


async def postgres(stack: Stack, callers: Callers, seconds: float) -> list[Figure]:
    """Without Postgres: queries are refused, commands go on."""
    return [figure for how in HOW for figure in await _without("postgres", how, stack, callers, seconds)]


async def _without(name: str, how: str, stack: Stack, callers: Callers, seconds: float) -> list[Figure]:
    async with callers.calling(writes=WRITES, reads=READS, searches=SEARCHES):
        await asyncio.sleep(BEFORE)
        began = time.monotonic()
        async with HOW[how](stack, name):
            await asyncio.sleep(seconds)
            ended, ready = time.monotonic(), await callers.ready()
        back = time.monotonic()
        recovered = await until_answered(callers, back)
    drained = await callers.drain()
    writes, queries = callers.writes.between(began, ended), _queries(callers, began, ended)
    refused, going_on = (writes, queries) if name == "kafka" else (queries, writes)
    what = f"{name} {how} for {seconds:.0f} s"
    return [
        _refused(what, refused, began, ended, "commands" if name == "kafka" else "queries"),
        _going_on(what, going_on, "queries" if name == "kafka" else "commands"),
        Figure(f"{what}: /readyz", _shown(ready["command" if name == "kafka" else "query"])),
        Figure(f"{what}: after its return", f"{recovered:.1f} s to answers, {drained:.0f} s more to lag 0"),
        await callers.not_lost(what),
    ]


async def until_answered(callers: Callers, since: float) -> float:
    """Wait until commands and queries that began after `since` succeed; returns the seconds that took."""
    async with asyncio.timeout(120):
        while not all(_good(series, since) for series in (callers.writes, callers.reads, callers.searches)):
            await asyncio.sleep(0.1)
    return time.monotonic() - since


def _good(series: Series, since: float) -> bool:
    return any(one.status in {200, 202} for one in series if one.began > since)


def _queries(callers: Callers, since: float, until: float) -> Series:
    return Series(callers.reads.between(since, until) + callers.searches.between(since, until))


def _refused(what: str, series: Series, began: float, ended: float, who: str) -> Figure:
    late = series.between(began + SETTLED, ended - REFUSED_WITHIN)  # whoever asks later may see the server's return
    said = sorted({f"{one.problem.get('type', '')} {one.problem.get('outcome', '')}".strip() for one in late})
    return Figure(
        f"{what}: {who}",
        f"{late.statuses}; slowest {series.slowest:.1f} s; {', '.join(said)}",
        "",
        f"503 within {REFUSED_WITHIN:.0f} s",
        {one.status for one in late} == {503} and series.slowest <= REFUSED_WITHIN + 0.2,
    )


def _going_on(what: str, series: Series, who: str) -> Figure:
    good = all(one.status in {200, 202} for one in series)
    return Figure(
        f"{what}: {who}",
        f"{series.statuses}; p99 {1000 * series.quantile(0.99):.0f} ms",
        "",
        "go on",
        good and bool(series),
    )


def _shown(text: str) -> str:
    return text if len(text) < 200 else f"{text[:200]}…"


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)

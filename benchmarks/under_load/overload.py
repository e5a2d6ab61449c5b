"""Commands at twice the rate that the encoder can take."""

import asyncio
import time

from benchmarks.reporting import Figure
from benchmarks.under_load.callers import Callers, Series
from benchmarks.under_load.memory import BOUNDS, Memory
from services.stack.supervisor import Stack

MEASURED = 400
"""Documents by which the encoder's rate is measured."""
IDLE = 20.0
SEARCHES = 10.0
READS = 10.0


async def measure(stack: Stack, callers: Callers, seconds: float) -> list[Figure]:
    """Idle, then twice the rate for so long, then until all is embedded."""
    rate = await capacity(callers)
    memory = Memory()
    idle = await asked(callers, IDLE, 1.0)
    lags: list[int] = []
    watching = asyncio.create_task(_watch_lag(callers, lags))
    async with memory.watching(stack):
        began = time.monotonic()
        await asked(callers, seconds, 2 * rate)
        ended = time.monotonic()
        drained = await callers.drain()
    watching.cancel()
    load = (callers.writes.between(began, ended), callers.searches.between(began, ended))
    reads = callers.reads.between(began, ended)
    return [
        Figure("the encoder's rate", f"{rate:.0f} documents/s"),
        *_commands(load[0], idle[0], rate),
        Figure("lag at the end of the load", f"{max(lags, default=0):,} events", "", "grows", max(lags, default=0) > 0),
        Figure("until all of it is embedded", f"{drained:.0f} s", "", "drains", drained > 0),
        _queries("search", load[1], idle[1]),
        _queries("document read", reads, idle[2]),
        *(_memory(memory, name) for name in memory.seen),
        await callers.not_lost("load"),
    ]


async def capacity(callers: Callers) -> float:
    """Documents a second from a burst to embedded rows."""
    for count in (20, MEASURED):
        began = time.monotonic()
        await asyncio.gather(*(callers.write() for _ in range(count)))
        await callers.drain()
    return MEASURED / (time.monotonic() - began)


async def asked(callers: Callers, seconds: float, writes: float) -> tuple[Series, Series, Series]:
    """Write, search and read at steady rates for a while."""
    began = time.monotonic()
    async with callers.calling(writes=writes, reads=READS, searches=SEARCHES):
        await asyncio.sleep(seconds)
    ended = time.monotonic()
    return tuple(one.between(began, ended) for one in (callers.writes, callers.searches, callers.reads))  # type: ignore[return-value]


async def _watch_lag(callers: Callers, lags: list[int]) -> None:
    while True:
        lags.append((await callers.standing()).get("lag_events") or 0)
        await asyncio.sleep(1)


def _commands(load: Series, idle: Series, rate: float) -> list[Figure]:
    third = len(load) // 3
    first, last = Series(load[:third]), Series(load[-third:])
    refused = sum(one.status != 202 for one in load)
    return [
        Figure(f"commands, {2 * rate:.0f}/s: refused", f"{refused} of {len(load):,}", "", "0", refused == 0),
        Figure(
            "command p99, last third of the load",
            _ms(last, 0.99),
            f"first third {_ms(first, 0.99)}, idle {_ms(idle, 0.99)}",
            "flat: ≤ 1.5 × the first third",
            last.quantile(0.99) <= 1.5 * first.quantile(0.99),
        ),
        Figure("command p50, last third of the load", _ms(last, 0.5), f"first third {_ms(first, 0.5)}"),
    ]


def _queries(what: str, load: Series, idle: Series) -> Figure:
    ratio = load.quantile(0.99) / idle.quantile(0.99)
    return Figure(
        f"{what} p99, p50", f"{_ms(load, 0.99)}, {_ms(load, 0.5)}", f"idle {_ms(idle, 0.99)}, {_ms(idle, 0.5)}",
        "p99 ≤ 2 × idle", ratio <= 2,
    )  # fmt: skip


def _memory(memory: Memory, name: str) -> Figure:
    most, bound = memory.most(name), BOUNDS[name.partition("-")[0]]
    return Figure(
        f"memory of {name}", f"{most:.0f} MiB at most", f"last third {memory.growth(name):+.0f} MiB",
        f"≤ {bound:,} MiB", most <= bound,
    )  # fmt: skip


def _ms(series: Series, share: float) -> str:
    return f"{1000 * series.quantile(share):.0f} ms"

"""`nenrin up`: the whole stack in the foreground, until Ctrl-C or SIGTERM."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live

from services.stack.errors import StackError
from services.stack.process import Process
from services.stack.python_services import SERVICES
from services.stack.status import line, table
from services.stack.supervisor import Stack

REFRESH = 0.5


def run(state: Path, *, free_ports: bool = False, partitions: int = 4, services: Sequence[str] = SERVICES) -> int:
    """Keep the stack up until a signal asks for its end, and return the exit status."""
    console = Console()
    watch = None if console.is_terminal else say
    stack = Stack(state, free_ports=free_ports, partitions=partitions, services=services, watch=watch, say=tell)
    try:
        asyncio.run(until_asked(stack, console))
    except (StackError, OSError) as refusal:
        print(f"nenrin up: {refusal}", file=sys.stderr)
        return 1
    return 0


async def until_asked(stack: Stack, console: Console) -> None:
    """Start, show, and stop at the first signal, also when it comes during the start."""
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    async with showing(stack, console):
        holding = asyncio.create_task(hold(stack))
        asking = asyncio.create_task(asked.wait())
        await asyncio.wait((holding, asking), return_when=asyncio.FIRST_COMPLETED)
        asking.cancel()
        holding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await holding


async def hold(stack: Stack) -> None:
    """Have the stack running until this is cancelled."""
    async with stack:
        print(welcome(stack), flush=True)
        await stack.lasts()


def welcome(stack: Stack) -> str:
    """What a person needs to know once everything answers."""
    programs = [process.program for process in stack.processes.values()]
    where = ", ".join(f"{program.name} {program.url}" for program in programs if program.url)
    return f"Everything answers: {where}. Ctrl-C stops it; {stack.folder.endpoints} says where it all is."


def say(process: Process) -> None:
    """One line for one change, where nobody sees a table."""
    tell(line(process))


def tell(line: str) -> None:
    """Print it; a reader who is gone, or a full disk, ends nothing."""
    with contextlib.suppress(OSError):
        print(line, flush=True)


@contextlib.asynccontextmanager
async def showing(stack: Stack, console: Console) -> AsyncIterator[None]:
    """Redraw the table while the stack lives, if there is a terminal to draw on."""
    if not console.is_terminal:
        yield
        return
    with Live(console=console, get_renderable=lambda: table(stack), refresh_per_second=1 / REFRESH):
        yield

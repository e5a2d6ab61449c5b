"""What `nenrin up` shows: a live table on a terminal, a line for each change elsewhere."""

import contextlib
from datetime import datetime

import psutil
from rich.table import Table
from rich.text import Text

from services.stack.process import Process, State
from services.stack.supervisor import Stack

COLOURS = {State.RUNNING: "green", State.STARTING: "yellow", State.WAITING: "red", State.FAILED: "bold red"}


def line(process: Process) -> str:
    """One change of one process, for a log."""
    name, state = process.program.name, process.state
    why = "; ".join(reasons(process))
    pid = f"pid {process.pid}" if process.pid is not None and state is not State.WAITING else ""
    where = process.program.url or process.program.about
    return f"{datetime.now():%H:%M:%S} {name:<12} {state:<10} {pid:<12}{why or where}".rstrip()


def reasons(process: Process) -> list[str]:
    """Why a process is not as it should be: how it ended, while it waits for its next start, and its trouble."""
    ended = [f"after {process.ending}"] if process.state is State.WAITING else []
    return [*ended, *([process.trouble] if process.trouble else [])]


def table(stack: Stack) -> Table:
    """All processes as they are now."""
    shown = Table(title=f"Nenrin in {stack.folder.path}", title_justify="left", header_style="bold", box=None)
    for column in ("process", "state", "pid", "restarts", "memory", "where"):
        shown.add_column(column, justify="right" if column in {"pid", "restarts", "memory"} else "left")
    for name, process in stack.processes.items():
        state = Text(process.state, style=COLOURS.get(process.state, ""))
        where = process.program.url or process.program.about
        shown.add_row(name, state, str(process.pid or ""), str(process.restarts or ""), memory(process), where)
    troubles = [f"{name}: {why}" for name, process in stack.processes.items() if (why := "; ".join(reasons(process)))]
    shown.caption = Text("\n".join(troubles), "red")
    shown.caption_justify = "left"
    return shown


def memory(process: Process) -> str:
    """What a process holds; nothing for one that does not run."""
    return "" if process.pid is None else resident(process.pid)


def resident(pid: int) -> str:
    """Resident memory of a process and its children; what children share with their parent counts once."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        leader = psutil.Process(pid)
        total += leader.memory_info().rss
        for child in leader.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += own(child)
    return f"{total / 2**20:,.0f} MiB" if total else ""


def own(child: psutil.Process) -> int:
    """Resident memory that isn't shared; only Linux tells the two apart."""
    resident = child.memory_info()
    return int(resident.rss - getattr(resident, "shared", 0))

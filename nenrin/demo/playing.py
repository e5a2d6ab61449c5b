"""Playing the demo: a stack of its own, the acts, a summary, and everything stopped at the end."""

import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anyio.from_thread import BlockingPortal, start_blocking_portal
from rich.panel import Panel
from rich.table import Table

from nenrin.client import Session
from nenrin.demo import texts
from nenrin.demo.acts import ACTS, Facts
from nenrin.demo.scene import Scene
from nenrin.demo.stage import Stage
from services.stack.supervisor import Stack


class Controlled:
    """A stack that lives in a thread of its own, so that the demo reads from top to bottom."""

    def __init__(self, stack: Stack, portal: BlockingPortal) -> None:
        self._stack = stack
        self._portal = portal

    def stop(self, name: str) -> None:
        """Stop a process, and have it stay so."""
        self._portal.call(self._stack.stop, name)

    def start(self, name: str) -> None:
        """Start it again."""
        self._portal.call(self._stack.start, name)


def run(state: Path, folder: Path | None, record: Path | None) -> None:
    """Play the demo. Raises `DemoFailed` at the first claim that does not hold."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends us: the stack is stopped on the way out
    stage = Stage(record)
    corpus = texts.language_reference() if folder is None else texts.folder(folder)
    stage.title("Nenrin", "The log is the truth; every answer says how much of the log it has seen.")
    facts: Facts = []
    with stack_in(state, stage) as (stack, controlled):
        urls = stack.endpoints
        with Session(urls["command"], urls["query"]) as session:
            scene = Scene(stage, controlled, session, corpus, new_word())
            for act in ACTS:
                facts += act(scene)
    summarise(stage, facts, time.monotonic() - began, state, corpus.collection)
    stage.save()


@contextmanager
def stack_in(state: Path, stage: Stage) -> Iterator[tuple[Stack, Controlled]]:
    """A stack that runs while the acts are played."""
    stage.act("Start everything on this machine")
    stack = Stack(state, free_ports=True)
    began = time.monotonic()
    with start_blocking_portal() as portal:
        with stage.waiting("Kafka, PostgreSQL with pgvector, and Nenrin's five processes are starting"):
            opened = portal.wrap_async_context_manager(stack)
            opened.__enter__()
        try:
            stage.show(processes(stack))
            stage.check(True, f"everything answers after {time.monotonic() - began:.1f} s; its state is in {state}")
            yield stack, Controlled(stack, portal)
        finally:
            with stage.waiting("stopping everything"):
                opened.__exit__(None, None, None)


def processes(stack: Stack) -> Table:
    """What runs now."""
    table = Table.grid(padding=(0, 2))
    for name, process in stack.processes.items():
        table.add_row(f"[bold]{name}[/]", f"[dim]process {process.pid}[/]", f"[dim]{process.program.url}[/]")
    return table


def summarise(stage: Stage, facts: Facts, took: float, state: Path, collection: str) -> None:
    """What was seen, and what to try next."""
    stage.act("That was it")
    seen = Table.grid(padding=(0, 2))
    for name, value in (*facts, ("the whole demo", f"{took:.0f} s; everything is stopped now")):
        seen.add_row(f"[dim]{name}[/]", value)
    stage.show(seen)
    commands = (
        (f"nenrin up --state {state}", "this stack again; then, elsewhere:"),
        (f'nenrin search "…" -c {collection} --state {state}', "ask it something"),
        (f"nenrin add FOLDER --state {state}", "add texts of your own"),
        (f"nenrin status --state {state}", "what runs, and how far behind"),
    )
    table = Table.grid(padding=(0, 2))
    for command, what in commands:
        table.add_row(f"[cyan]{command}[/]", f"[dim]{what}[/]")
    stage.lasting.print()
    stage.show(Panel(table, title="try next", title_align="left", border_style="dim"))


def new_word() -> str:
    """A word that was never written, but could be said."""
    return "".join(secrets.choice("bdfgklmnprstvz") + secrets.choice("aiou") for _ in range(5))

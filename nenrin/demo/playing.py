"""Playing the demo: a stack of its own, the acts, a summary, and everything stopped at the end."""

import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.panel import Panel
from rich.table import Table

from nenrin.client import Session
from nenrin.demo import texts
from nenrin.demo.acts import ACTS, Facts
from nenrin.demo.background import Background
from nenrin.demo.scene import Scene
from nenrin.demo.stage import DemoFailed, Stage
from nenrin.demo.texts import Corpus
from services.stack.process import Process
from services.stack.supervisor import Stack


def run(state: Path, folder: Path | None, record: Path | None) -> None:
    """Play the demo. Raises `DemoFailed` at the first claim that does not hold."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends us: the stack is stopped on the way out
    stage = Stage(record)
    corpus = texts.language_reference() if folder is None else texts.folder(folder)
    stage.title("Nenrin", "The log is the truth; every answer says how much of the log it has seen.")
    try:
        with stack_in(state, stage) as background:
            facts = play(background, stage, corpus)
    except DemoFailed as failure:
        raise DemoFailed(f"{failure} (the logs of all processes are in {state / 'logs'})") from failure
    summarise(stage, facts, time.monotonic() - began, state, corpus.collection)
    stage.save()


def play(background: Background, stage: Stage, corpus: Corpus) -> Facts:
    """Every act in its order."""
    urls = background.stack.endpoints
    with Session(urls["command"], urls["query"], retry_for=0) as session:
        scene = Scene(stage, background, session, corpus, new_word())
        return [fact for act in ACTS for fact in act(scene)]


@contextmanager
def stack_in(state: Path, stage: Stage) -> Iterator[Background]:
    """A stack that runs while the acts are played."""
    stage.act("Start everything on this machine")
    began = time.monotonic()
    with stage.waiting("Kafka and PostgreSQL with pgvector, then Nenrin's five processes") as spinner:

        def watch(_: Process) -> None:
            spinner.update(" ".join(f"{name} [dim]{process.state}[/] " for name, process in stack.processes.items()))

        stack = Stack(state, free_ports=True, watch=watch)
        background = Background(stack)
        background.open()
    try:
        stage.show(processes(stack))
        stage.check(True, f"everything answers after {time.monotonic() - began:.1f} s; its state is in {state}")
        yield background
    finally:
        with stage.waiting("stopping everything"):
            background.close()


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

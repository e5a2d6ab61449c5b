"""Where the demo is seen: what stays on the terminal, what moves and goes, and what has to be true."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.progress_bar import ProgressBar
from rich.status import Status
from rich.table import Table
from rich.terminal_theme import MONOKAI
from rich.text import Text

from schemas.errors import NenrinError

WIDTH = 100
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_NOTE = TextColumn("[dim]{task.fields[note]}")


class DemoFailed(NenrinError):
    """What the demo was about to claim is not true."""


class Stage:
    """Two consoles on one terminal: `lasting` is also what a recording holds, `moving` draws what will vanish."""

    def __init__(self, record: Path | None) -> None:
        terminal = Console()
        width = min(WIDTH, terminal.width) if terminal.is_terminal and record is None else WIDTH
        self.lasting = Console(width=width, record=record is not None, highlight=False)
        self.moving = Console(width=width, highlight=False)
        self._still = not self.moving.is_terminal
        self._record = record
        self._acts = 0

    def title(self, name: str, what: str) -> None:
        """The top of it all."""
        self.lasting.print()
        self.lasting.print(Text.assemble((f" {name} ", "bold reverse"), f"  {what}"))

    def act(self, title: str) -> None:
        """Begin a part."""
        self._acts += 1
        self.lasting.print()
        self.lasting.rule(Text.assemble((f"{self._acts} ", "cyan"), (title, "bold")), align="left", style="dim")

    def say(self, text: str) -> None:
        """A line in rich's markup."""
        self.lasting.print(f"  {text}")

    def show(self, what: RenderableType) -> None:
        """Something that stays."""
        self.lasting.print(Padding(what, (0, 0, 0, 2)))

    def check(self, holds: bool, claim: str) -> None:
        """Say what is true, or fail because it isn't."""
        if not holds:
            raise DemoFailed(f"this should be so and is not: {Text.from_markup(claim)}")
        self.lasting.print(f"  [green]✓[/] {claim}")

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[int, str], None]]:
        """A bar that moves, and its last state, which stays. Yields what sets the number done, and a word on it."""
        began = time.perf_counter()
        columns = (TextColumn("  {task.description:<22}"), BarColumn(40), MofNCompleteColumn(), _NOTE)
        with Progress(*columns, console=self.moving, transient=True, disable=self._still) as bar:
            task = bar.add_task(what, total=total, note="")
            yield lambda done, note: bar.update(task, completed=done, note=note)
        self._finished(what, total, time.perf_counter() - began)

    def _finished(self, what: str, total: int, took: float) -> None:
        line = Table.grid(padding=(0, 1))
        line.add_row(f"{what:<22}", ProgressBar(total, total, width=40), f"{total}/{total}", f"{took:.1f} s")
        self.show(line)

    @contextmanager
    def growing(self, table: Table) -> Iterator[Callable[[], None]]:
        """A table that is seen while it gets its rows. Yields what draws it anew."""
        padded = Padding(table, (0, 0, 0, 2))
        if self._still:
            yield lambda: None
        else:
            with Live(padded, console=self.moving, transient=True, auto_refresh=False) as live:
                yield live.refresh
        self.lasting.print(padded)

    def waiting(self, what: str) -> Status:
        """A spinner while something takes its time."""
        return self.moving.status(what)

    def save(self) -> None:
        """Write the recording, where one was asked for."""
        if self._record is not None:
            self._record.parent.mkdir(parents=True, exist_ok=True)
            picture = self.lasting.export_svg(title="nenrin demo", theme=MONOKAI)
            # without the fonts that it would have every reader fetch from elsewhere
            self._record.write_text(_FONT_FACE.sub("", picture))

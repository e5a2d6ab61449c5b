"""How far reading has come, shown on a terminal only."""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from nenrin.cli.corpus.finding import STDIN, Source
from nenrin.cli.corpus.items import Item, Taken
from nenrin.cli.totals import Totals

EVERY = 50
"""Documents between two changes of the bar, which cost more than reading a line does."""


class Bar:
    """A line on stderr: files, documents and bytes."""

    def __init__(self, sources: Iterable[Source], totals: Totals, quiet: bool) -> None:
        console = Console(stderr=True)
        chosen = list(sources)
        known = all(source.path != STDIN for source in chosen)
        self._totals = totals
        self._files = len(chosen)
        self._finished = 0
        self._progress = Progress(
            TextColumn("{task.fields[files]}  {task.fields[documents]:,} documents"),
            BarColumn(),
            DownloadColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._progress.add_task(
            "adding",
            total=sum(source.size for source in chosen) if known else None,
            files=self._of_files(0),
            documents=0,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def reading(self, source: Source, items: Iterable[Item]) -> Iterator[Item]:
        """The same items; the bar moves with them."""
        within = 0
        for number, item in enumerate(items):
            yield item
            within += item.size if isinstance(item, Taken) else 0
            if number % EVERY == 0:
                self._show(self._finished + within)
        self._finished += max(within, source.size)
        self._totals.files += 1
        self._show(self._finished)

    def _show(self, read: int) -> None:
        self._progress.update(
            self._task,
            completed=read,
            documents=self._totals.documents,
            files=self._of_files(self._totals.files),
        )

    def _of_files(self, done: int) -> str:
        return f"{done:,}/{self._files:,} files"

"""`nenrin add`: files become documents."""

import signal
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib import import_module

from rich.console import Console

from nenrin.cli.adding import Adding
from nenrin.cli.comparing import Comparison
from nenrin.cli.corpus.finding import Found, Source
from nenrin.cli.corpus.formats import SUFFIXES
from nenrin.cli.corpus.items import Item, LeftOut, Taken
from nenrin.cli.corpus.reading import read
from nenrin.cli.endings import Failed, Status
from nenrin.cli.jobs import Job
from nenrin.cli.progress import Bar
from nenrin.cli.reporting import report
from nenrin.cli.running import Running, find_stack, session_with
from nenrin.cli.showing import plain
from nenrin.cli.totals import Totals
from nenrin.cli.watching import Watched, news
from nenrin.client import Session
from nenrin.client.calls import Service
from nenrin.client.errors import Unavailable, Unreachable
from schemas.errors import InvalidInput


def add(job: Job) -> Status:
    """Add every document that the job names; the exit status. Raises `Failed` when some were left out."""
    job.check()
    if job.watch:
        import_module("watchfiles")  # if it is missing, say so now
    found = job.find()
    if not (found.sources or found.left_out or job.watch):
        raise InvalidInput("PATH", f"no file to add there; known are {', '.join(SUFFIXES)}, and --glob takes others")
    stack = find_stack(job.state, Service.COMMAND)
    with session_with(stack) as session:
        run = _Run(job, stack, session)
        try:
            return run.watch() if job.watch else run.once(found)
        finally:
            run.report()


class _Run:
    """One run of the command: what it has done so far."""

    def __init__(self, job: Job, stack: Running, session: Session) -> None:
        self._job = job
        self._session = session
        self._comparable = bool(stack.query) and not job.force
        self._totals = Totals()
        self._watched = Watched()
        self._told: set[LeftOut] = set()
        self._console = Console(highlight=False, soft_wrap=True)

    def report(self) -> None:
        """Say what was done."""
        if self._job.as_json:
            sys.stdout.write(self._totals.report(self._session.token).decode() + "\n")
        else:
            report(self._console, self._totals, self._session.token, self._job.collection, self._job.state)

    def once(self, found: Found) -> Status:
        """Add what was found. Raises `Failed`; Ctrl-C ends it after the page that is on its way."""
        try:
            self._add(found, found.sources.values())
        except KeyboardInterrupt:
            return Status.INTERRUPTED
        if missed := self._totals.left_out_count:
            first = self._totals.left_out[0]
            raise Failed(f"{missed:,} of {self._totals.documents:,} were not added; the first is {first}")
        return Status.DONE

    def watch(self) -> Status:
        """Add what is there and what comes, until Ctrl-C or SIGTERM."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            print(f"watching {', '.join(map(str, self._job.paths))}; Ctrl-C ends it", file=sys.stderr, flush=True)
            for _ in news(self._job.paths):
                self._look()
        except KeyboardInterrupt:
            pass
        return Status.DONE

    def _look(self) -> None:
        """Add and remove what has changed since the last look; what fails now is tried at the next one."""
        before = (self._totals.documents, len(self._totals.left_out))
        try:
            found = self._job.find()
            changed = self._watched.changed(found)
            self._add(found, changed)
            self._watched.take(changed)
            self._remove(found)
        except (InvalidInput, Unavailable, Unreachable) as error:
            print(f"nenrin: {error}; trying again", file=sys.stderr, flush=True)
        if self._totals.documents > before[0] and not self._job.as_json:
            self._news(before[1])

    def _add(self, found: Found, sources: Iterable[Source]) -> None:
        for item in found.left_out:
            if item not in self._told:  # a folder that can't be read is found at every look
                self._totals.leave_out(item)
        self._told |= set(found.left_out)
        self._totals.others = found.others
        comparison = Comparison(self._session, self._job.collection) if self._comparable else None
        chosen = list(sources)
        with Bar(chosen, self._totals, quiet=self._job.as_json) as bar:
            Adding(self._session, self._job.collection, self._totals, comparison).add(self._items(chosen, bar))

    def _items(self, sources: Iterable[Source], bar: Bar) -> Iterator[Item]:
        for source in sources:
            for item in bar.reading(source, read(source, self._job.columns)):
                if self._job.remove_deleted and isinstance(item, Taken):
                    self._watched.give(source, item.draft.document_id)
                yield item

    def _remove(self, found: Found) -> None:
        for source in self._watched.gone(found):
            for document_id in self._watched.forsaken(source, found):  # noted only with --remove-deleted
                self._session.remove(self._job.collection, document_id)
                self._totals.removed += 1
            self._watched.forget(source)

    def _news(self, known: int) -> None:
        totals = self._totals
        for item in totals.left_out[known:]:
            self._console.print(f"left out  {plain(str(item))}", style="yellow", markup=False)
        counts = f"{totals.added:,} added, {totals.unchanged:,} unchanged, {totals.removed:,} removed"
        self._console.print(f"{datetime.now():%H:%M:%S}  {counts} so far", style="dim")

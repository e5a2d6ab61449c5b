"""`nenrin projections rebuild`: a projection built anew from the log, proven, and put in the live one's place."""

import asyncio
import sys
from pathlib import Path

import msgspec
from rich.console import Console

from nenrin.cli.deciding import who
from nenrin.cli.endings import Failed, Status
from nenrin.cli.replaying import shown
from nenrin.cli.services import settings_for
from nenrin.cli.verdicts import table
from schemas.errors import DatabaseAway, InvalidInput, LogAway
from services.replay import times
from services.replay.rebuilding import rebuild
from services.replay.report import Report
from services.replay.times import Until


class Asked(msgspec.Struct, frozen=True):
    """What the command line says."""

    name: str
    encoder: str | None
    no_promote: bool
    until: str | None
    postgres: str | None
    force: bool
    reason: str | None
    by: str | None
    state: Path | None
    as_json: bool
    queries: Path | None = None

    @property
    def again(self) -> str:
        """The command, as it is to be called again."""
        options = [("--encoder", self.encoder), ("--until", self.until)]
        words = [word for name, value in options if value is not None for word in (name, value)]
        words += ["--no-promote"] if self.no_promote else []
        words += ["--postgres", "DSN"] if self.postgres is not None else []
        return " ".join(["nenrin projections rebuild", self.name, *words])


def run(asked: Asked) -> Status:
    """Rebuild, and print the report. Raises `Failed` when a gate refused, `InvalidInput`, `Held`, what is away."""
    if asked.force != (asked.reason is not None):
        raise InvalidInput(
            "--reason", "goes with --force, which goes with it: the record keeps why gates were overruled"
        )
    settings = settings_for(asked.state)
    try:
        with shown() as progress:
            report = asyncio.run(
                rebuild(
                    settings,
                    asked.name,
                    by=who(asked.by),
                    encoder=asked.encoder,
                    until=_until(asked.until),
                    promote=not asked.no_promote,
                    postgres=asked.postgres,
                    forced_because=asked.reason,
                    queries=asked.queries,
                    progress=progress,
                )
            )
    except KeyboardInterrupt:
        print(f"nenrin: interrupted; `{asked.again}` goes on where this stopped", file=sys.stderr)
        return Status.INTERRUPTED
    except (DatabaseAway, LogAway) as error:
        raise Failed(f"{error}; once that is mended `{asked.again}` goes on where this stopped") from error
    _print(report, asked.as_json)
    return _ending(report, asked)


def _until(text: str | None) -> Until | None:
    if text is None:
        return None
    read = times.read(text)
    if read.taken:
        print(read.taken, file=sys.stderr)
    return read.until


def _print(report: Report, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        Console(highlight=False).print(table(report))


def _ending(report: Report, asked: Asked) -> Status:
    """Say what is next. Raises `Failed` when the candidate was to become live and a gate refused it."""
    name, number = report.projection, report.generation
    why = report.why_not()
    if report.promoted:
        return Status.DONE
    if asked.until is not None:
        _tell(
            f"read it with the header Nenrin-Generation: {number}; `nenrin projections retire {name} {number}` drops it"
        )
        return Status.DONE
    if not asked.no_promote:
        raise Failed(
            f"{name} generation {number} was not promoted: {why}. Everything is as it was, and it is kept: "
            f"`{asked.again} --force --reason …` overrules, `nenrin projections retire {name} {number}` drops it"
        )
    if why:
        _tell(f"as it is, gates would refuse its promotion: {why}")
    _tell(f"it follows the log; `nenrin projections promote {name} --generation {number}` makes it live")
    return Status.DONE


def _tell(line: str) -> None:
    print(line, file=sys.stderr)

"""`nenrin diff`: what changed between two versions."""

import asyncio
import sys
from collections import Counter
from contextlib import aclosing
from pathlib import Path
from typing import TextIO

import msgspec

from nenrin.cli.replaying import Bar, Lines, shown
from nenrin.cli.services import settings_for
from nenrin.cli.showing import plain, positions
from schemas.documents import check_collection
from services.replay import diffing, times
from services.replay.diffing import Between, Difference, How
from services.replay.progress import Phase
from services.replay.times import Until
from services.settings import Settings


class Asked(msgspec.Struct, frozen=True):
    """What the command line says."""

    before: str
    after: str
    collection: str | None
    state: Path | None
    as_json: bool


def diff(asked: Asked) -> None:
    """Print the documents that differ. Raises `InvalidInput`, `OtherIncarnation`, `LogAway`."""
    if asked.collection is not None:
        check_collection(asked.collection)
    ends = _until(asked.before, diffing.BEFORE), _until(asked.after, diffing.AFTER)
    settings = settings_for(asked.state)
    # what is redirected gets whole lines of its own; on a terminal they go through the bar
    out = None if sys.stdout.isatty() else sys.stdout
    with shown() as progress:
        counted = asyncio.run(_print(settings, ends, asked, progress, out))
    if not asked.as_json:
        print(_summary(counted))


def _until(text: str, what: str) -> Until:
    found = diffing.read(text, what)
    if found.taken:
        print(found.taken, file=sys.stderr)
    return found.until


async def _print(
    settings: Settings, ends: tuple[Until, Until], asked: Asked, progress: Bar | Lines, out: TextIO | None
) -> Counter[How]:
    versions = await diffing.between(settings.kafka_settings(), *ends)
    progress.say(_between(versions))
    found = diffing.differences(
        versions, asked.collection, lambda done, total: progress.show(Phase.READING, done, total)
    )
    counted: Counter[How] = Counter()
    async with aclosing(found) as differences:
        async for each in differences:
            counted[each.change] += 1
            print(msgspec.json.encode(each).decode() if asked.as_json else _line(each), file=out, flush=True)
    return counted


def _between(versions: Between) -> str:
    source = versions.stretch.source.incarnation
    tokens = [times.version_of(dict(each), source).token() for each in (versions.before, versions.after)]
    return f"from {positions(tokens[0])} to {positions(tokens[1])}"


def _line(difference: Difference) -> str:
    return plain(f"{difference.change:<8} {difference.collection}/{difference.document_id}")


def _summary(counted: Counter[How]) -> str:
    if not counted:
        return "No document differs."
    return ", ".join(f"{counted[how]:,} {how}" for how in How)

"""`nenrin encoders`: the models that this installation embeds with."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from encoders.reading import Cut
from nenrin.cli import rebuilding
from nenrin.cli.endings import Status
from nenrin.cli.replaying import shown
from nenrin.cli.services import settings_for
from nenrin.cli.showing import plain, table_of
from schemas.errors import InvalidInput
from schemas.topics import derived
from services.encoders import Added, Listed, add, listed, remove, until_covered
from services.encoders.covering import starting
from services.replay.progress import Phase
from services.settings import Settings

PROJECTION = "passages"
"""The projection that keeps vectors."""


class Asked(msgspec.Struct, frozen=True):
    """What the command line says of an encoder to add."""

    model: str
    cut: Cut
    promote: bool
    wait: bool
    queries: Path | None
    force: bool
    reason: str | None
    by: str | None
    state: Path | None
    as_json: bool


def run_add(asked: Asked) -> Status:
    """Add an encoder, and wait for its vectors; then rebuild with it, if it is to be promoted."""
    _check(asked)
    settings = settings_for(asked.state)
    try:
        added = asyncio.run(_add(settings, asked))
    except KeyboardInterrupt:
        _tell("interrupted; the same command goes on where this stopped")
        return Status.INTERRUPTED
    if asked.promote and not added.is_live:
        return _promote(added, asked)
    _end(added, asked)
    return Status.DONE


def _check(asked: Asked) -> None:
    """Refuse what a promotion would, before hours of encoding. Raises `InvalidInput`."""
    if asked.promote and not asked.wait:
        raise InvalidInput("--no-wait", "goes without --promote: a generation is built from vectors that are there")
    if asked.queries is not None and not asked.promote:
        raise InvalidInput("--queries", "goes with --promote: a gate asks them of both encoders")
    if asked.queries is not None and not asked.queries.is_file():
        raise InvalidInput("--queries", f"there is no file {asked.queries}")
    if asked.force != (asked.reason is not None):
        raise InvalidInput(
            "--reason", "goes with --force, which goes with it: the record keeps why gates are overruled"
        )


async def _add(settings: Settings, asked: Asked) -> Added:
    with shown() as progress:
        added = await add(settings, asked.model, asked.cut, progress.say)
        progress.say(f"encoder {added.encoder.name} is known, and its vectors go to {added.topic}")
        if asked.wait:
            progress.show(Phase.COVERING)
            await until_covered(
                settings,
                added.encoder.name,
                lambda done, total: progress.show(Phase.COVERING, done, total),
                progress.say,
            )
    return added


def _promote(added: Added, asked: Asked) -> Status:
    return rebuilding.run(
        rebuilding.Asked(
            name=PROJECTION,
            encoder=added.encoder.name,
            no_promote=False,
            until=None,
            postgres=None,
            force=asked.force,
            reason=asked.reason,
            by=asked.by,
            state=asked.state,
            as_json=asked.as_json,
            queries=asked.queries,
        )
    )


def _end(added: Added, asked: Asked) -> None:
    name = added.encoder.name
    if asked.as_json:
        print(json.dumps(_shown(name, added.encoder, added.folder)))
    if added.is_live:
        _tell(f"{name} is the live generation's encoder")
    elif asked.wait:
        _tell(
            f"its vectors are there: `nenrin projections rebuild {PROJECTION} --encoder {name}` makes it the live one"
        )
    else:
        _tell(f"its embedder has yet to catch up: {starting(name)}; `nenrin encoders list` shows how far it is")


def run_list(state: Path | None, as_json: bool) -> None:
    """Print the encoders, how far the topic of each is, and which generations use it."""
    found = asyncio.run(listed(settings_for(state)))
    if as_json:
        print(json.dumps([_as_json(each) for each in found]))
        return
    table = table_of("", "encoder", "dimensions", "covered", "used by", "model in")
    table.title = None
    for each in found:
        dimensions = "unknown" if each.encoder is None else str(each.encoder.dimensions)
        table.add_row(each.name, dimensions, _covered(each), _users(each), plain(each.folder or "its package"))
    Console(highlight=False).print(table)


def run_remove(name: str, delete_topic: bool, state: Path | None) -> None:
    """Forget an encoder."""
    asyncio.run(remove(settings_for(state), name, delete_topic=delete_topic, say=_tell))
    _tell(f"{name} is removed; `nenrin up` ends its embedder by itself, on servers of your own stop it")
    if not delete_topic:
        _tell(f"its topic {derived(name)} is kept; --delete-topic deletes it")


def _covered(each: Listed) -> str:
    if each.covered is None or each.records is None:
        return f"unknown: {plain(each.trouble or '')}"
    return "all" if each.covered == each.records else f"{each.covered:,} of {each.records:,} records"


def _users(each: Listed) -> str:
    named = (
        f"{use.projection} generation {use.generation}{', the live one' if use.live else ''}"
        for use in each.generations
    )
    return "; ".join(named) or "nobody"


def _as_json(each: Listed) -> dict[str, Any]:
    return {
        **_shown(each.name, each.encoder, each.folder),
        "added_at": None if each.added_at is None else each.added_at.isoformat(),
        "covered": each.covered,
        "records": each.records,
        "trouble": each.trouble,
        "generations": msgspec.to_builtins(each.generations),
    }


def _shown(name: str, encoder: Any, folder: object) -> dict[str, Any]:
    settings = {"settings": None if encoder is None else msgspec.to_builtins(encoder)}
    return {"name": name, "topic": derived(name), "folder": None if folder is None else str(folder), **settings}


def _tell(line: str) -> None:
    print(line, file=sys.stderr)

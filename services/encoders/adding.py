"""Adding an encoder: its topic, and its row in the registry, by which embedders and query services find its model.

Every step can be done again, so that an addition which was cut off goes on when it is repeated.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from encoders.finding import located
from encoders.folder import UnusableModel
from encoders.reading import Cut, encoder_of, remarks
from eventlog.topics import Topics
from projections.database import connect
from projections.encoders import Registered, register, registered, used
from schemas.encoders import Encoder
from schemas.topics import DOCUMENTS, derived, wanted
from services.settings import Settings

Say = Callable[[str], None]


class Added(msgspec.Struct, frozen=True):
    """An encoder that is known here from now on; `is_live` if the live generation of a projection uses it already."""

    encoder: Encoder
    folder: Path | None
    is_live: bool

    @property
    def topic(self) -> str:
        """Where its vectors are."""
        return derived(self.encoder.name)


async def add(settings: Settings, model: str, cut: Cut, say: Say) -> Added:
    """Make a model's encoder known, and its topic; its embedder is somebody else's to start.

    Raises `UnusableModel`, and `InvalidInput` for a cut that doesn't fit the model, before anything is changed;
    `LogAway`, `DatabaseAway`, `TopicMismatch`.
    """
    found = located(model)
    encoder = encoder_of(found, cut)
    folder = None if found.is_packaged else found.folder
    for remark in remarks(found.folder):
        say(remark)
    connection = await connect(settings.dsn, application="nenrin encoders add")
    try:
        if not _is_known(await registered(connection), encoder, folder):
            say(f"trying the model in {found.folder} once")
            await _prove(encoder, found.folder, settings.device)
        await _make_topic(settings, encoder, say)  # first: an embedder starts as soon as the row is there
        await register(connection, encoder, folder)
        return Added(encoder, folder, any(use.live for use in await used(connection) if use.encoder == encoder.name))
    finally:
        await connection.close()


def _is_known(known: list[Registered], encoder: Encoder, folder: Path | None) -> bool:
    return any((each.encoder, each.folder) == (encoder, folder) for each in known)


async def _prove(encoder: Encoder, folder: Path, device: str) -> None:
    """In a process of its own: the memory that torch takes goes with it."""
    proving = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "encoders.proving", str(folder), msgspec.json.encode(encoder).decode(), device),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await proving.communicate()
    finally:
        if proving.returncode is None:
            proving.kill()
    if proving.returncode:
        lines = said.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise UnusableModel(lines[-1])


async def _make_topic(settings: Settings, encoder: Encoder, say: Say) -> None:
    """With the source's partitions, whatever the settings say."""
    cluster = Topics(settings.kafka_settings())
    (source,) = await cluster.identify(DOCUMENTS)
    plan = await cluster.plan(topic for topic in wanted(source.partitions, encoder.name) if topic.name != DOCUMENTS)
    for line in plan.lines():
        say(line)
    await cluster.carry_out(plan)

"""One process follows every generation that is to be followed; what becomes of one, the others never notice."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import asyncpg
import pytest

from projections.control.install import administration
from projections.database import connect
from projections.documents import Documents
from projections.generations import lifecycle
from projections.generations.holding import hold, holding, let_go
from projections.passages import Passages
from projections.port import ReadModel
from projections.writer import Writer
from schemas.encoders import MINILM
from schemas.topics import DOCUMENTS
from services.projector import app
from services.projector.app import project
from services.settings import Settings
from tests.doctor.accidents import Log
from tests.laws.processes import Process, ending, until
from web.readiness import Readiness

PATIENCE = 60.0
PARTITIONS = 4


class Projector:
    """A projector in this process, and what it leaves in its database."""

    def __init__(self, settings: Settings, connection: asyncpg.Connection) -> None:
        self.settings = settings
        self.connection = connection
        self.log = Log(settings)
        self.endings: list[str] = []
        self.readiness: Callable[[], Readiness] = Readiness
        self._written = 0

    def serve(self, *arguments: object) -> None:
        """Keep what `/readyz` asks."""
        self.readiness = arguments[3]  # type: ignore[assignment]

    def ended(self, doing: str, error: BaseException) -> None:
        """What would have ended the process."""
        self.endings.append(f"{doing}: {error}")

    def write(self) -> int:
        """Write twelve documents more; how many there are then."""
        self.log.add(*(f"document-{self._written + number}" for number in range(12)))
        self._written += 12
        return self._written

    async def make(self, number: int, model: ReadModel | None = None) -> None:
        """Make a generation that is whole and empty."""
        incarnation = await self.connection.fetchval("SELECT min(incarnation) FROM documents_g1.positions")
        build = lifecycle.Build(DOCUMENTS, PARTITIONS, incarnation)
        if isinstance(model, Passages):
            build = lifecycle.Build(DOCUMENTS, PARTITIONS, incarnation, MINILM.name, MINILM.dimensions)
        async with administration(self.settings.dsn) as connection:
            await lifecycle.create(connection, model or Documents(), number, build)

    async def epochs(self, schema: str) -> Mapping[int, int]:
        """How often each partition was claimed."""
        return dict(await self.connection.fetch(f"SELECT partition, epoch FROM {schema}.positions"))

    async def claimed(self, schema: str) -> Mapping[int, int]:
        """The same, once each was."""
        async with asyncio.timeout(PATIENCE):
            while not all((found := await self.epochs(schema)).values()):  # noqa: ASYNC110  # as a monitor would ask
                await asyncio.sleep(0.02)
        return found

    async def applied(self, offsets: int, *schemas: str) -> None:
        """Wait until generations have come so far, and hold their documents against what was written."""
        for schema in schemas:
            async with asyncio.timeout(PATIENCE):
                while await self.connection.fetchval(f"SELECT sum(next) FROM {schema}.positions") < offsets:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert await self.connection.fetchval(f"SELECT count(*) FROM {schema}.documents") == self._written

    async def until(self, reached: Callable[[dict[str, str]], bool]) -> None:
        """Wait for what `/readyz` says of what is followed."""
        async with asyncio.timeout(PATIENCE):
            while not reached(self.readiness().notes):  # noqa: ASYNC110  # as a monitor would ask
                await asyncio.sleep(0.02)


def shows(name: str) -> Callable[[dict[str, str]], bool]:
    """Whether something is followed."""
    return lambda notes: name in notes


@pytest.fixture
async def projector(installed: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Projector]:
    """A projector that has claimed what was installed."""
    connection = await connect(installed.dsn, application="a test")
    found = Projector(installed, connection)
    monkeypatch.setattr("services.projector.following.LOOK_EVERY", 0.1)
    monkeypatch.setattr("eventlog.ending.end_process", found.ended)
    monkeypatch.setattr(app, "serve_status", found.serve)
    stop = asyncio.Event()
    running = asyncio.create_task(project(installed, stop))
    await found.claimed("documents_g1")
    yield found
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await running
    await connection.close()
    assert found.endings == []


async def test_what_appears_is_followed_and_a_promotion_restarts_nothing(projector: Projector) -> None:
    """The first generation goes on under its first claim, as does the new one, whichever of them is live."""
    await projector.applied(projector.write(), "documents_g1")
    first = await projector.epochs("documents_g1")
    await projector.make(2)
    await projector.applied(projector.write(), "documents_g1", "documents_g2")
    second = await projector.epochs("documents_g2")
    await projector.until(lambda notes: notes.get("documents generation 2") == "going on")
    for live, previous in ((2, 1), (1, 2), (2, 1)):
        await projector.connection.execute("UPDATE nenrin.projections SET live = $1, previous = $2", live, previous)
        await projector.until(shows(f"documents generation {previous}"))
        await projector.applied(projector.write(), "documents_g1", "documents_g2")
    assert await projector.epochs("documents_g1") == first
    assert await projector.epochs("documents_g2") == second


async def test_what_is_held_is_left_to_its_holder_and_followed_again_afterwards(projector: Projector) -> None:
    """A holder takes the partitions over; the projector lets go of that generation alone, and takes it up again."""
    await projector.make(2)
    await projector.claimed("documents_g2")
    first = await projector.epochs("documents_g1")
    incarnation = await projector.connection.fetchval("SELECT min(incarnation) FROM documents_g1.positions")
    writer = Writer(Documents(), 2, projector.settings.dsn)
    async with holding(projector.settings.dsn, "a test") as holder:
        await hold(holder, "documents", 2)
        await writer.claim(DOCUMENTS, range(PARTITIONS), incarnation, PARTITIONS)
        held = await projector.epochs("documents_g2")
        await projector.applied(projector.write(), "documents_g1")
        await projector.until(lambda notes: not shows("documents generation 2")(notes))
        await projector.make(3)  # by the time that this one is followed, the other would be again
        await projector.applied(projector.write(), "documents_g1", "documents_g3")
        assert await projector.epochs("documents_g2") == held
        await writer.confirm(projector.connection)
        assert await projector.connection.fetchval("SELECT sum(next) FROM documents_g2.positions") == 0
        await writer.release()
        await let_go(holder, "documents", 2)
        await projector.applied(24, "documents_g2")
    assert await projector.epochs("documents_g1") == first


async def test_what_is_dropped_or_has_ended_is_let_go_of(projector: Projector) -> None:
    """In the middle of its work, without a word of error; the others go on."""
    await projector.make(2)
    await projector.make(2, Passages())
    await projector.applied(projector.write(), "documents_g1", "documents_g2")
    await projector.claimed("passages_g2")
    first = await projector.epochs("documents_g1")
    projector.write()
    assert await lifecycle.forget(projector.connection, "documents", 2)
    assert await lifecycle.drop(projector.connection, "documents", 2)
    await lifecycle.end(projector.connection, "passages", 2)
    await projector.until(lambda notes: set(notes) == {"documents", "passages"})
    await projector.applied(projector.write(), "documents_g1")
    assert await projector.epochs("documents_g1") == first


async def test_what_cannot_go_on_stops_alone(projector: Projector) -> None:
    """A candidate that another version made is not written into; it says so, and what is live goes on."""
    await projector.make(2)
    await projector.connection.execute("UPDATE nenrin.generations SET shape = 99 WHERE generation = 2")
    await projector.until(lambda notes: notes.get("documents generation 2", "").startswith("stopped: "))
    assert "`nenrin projections rebuild documents`" in projector.readiness().notes["documents generation 2"]
    await projector.applied(projector.write(), "documents_g1")
    assert await projector.connection.fetchval("SELECT sum(next) FROM documents_g2.positions") == 0
    assert projector.readiness().missing == {}


async def test_two_projectors_share_every_generation_and_one_goes_on_with_all_of_it(
    installed: Settings, tmp_path: Path
) -> None:
    """Each group divides its own partitions; when one process is killed the other has them all, in both groups."""
    connection = await connect(installed.dsn, application="a test")
    projector = Projector(installed, connection)
    await projector.make(2)
    one, other = (Process(installed, tmp_path / f"{name}.log", "nenrin", "projector") for name in ("one", "other"))
    with ending(one, other):
        await until(lambda: all([len(part) for part in each.divided().values()] == [2, 2, 2] for each in (one, other)))
        await projector.applied(projector.write(), "documents_g1", "documents_g2")
        one.end()
        written = projector.write()
        await asyncio.to_thread(projector.log.embed)
        await projector.applied(written, "documents_g1", "documents_g2", "passages_g1")
    await connection.close()

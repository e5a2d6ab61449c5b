"""A projector that is started again whenever it ends, as the supervisor would, and what it leaves in Postgres."""

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from schemas.errors import NenrinError
from services.projector import app
from services.settings import Settings
from tests.doctor.accidents import Log
from web.readiness import Readiness

PATIENCE = 60.0


class Projector:
    """A projector's lives, and what each said at its end."""

    def __init__(self, settings: Settings) -> None:
        self.endings: list[str] = []
        self.readiness: Callable[[], Readiness] = lambda: Readiness({"partitions": "not started"}, {})
        self.settings = settings
        self._stop = asyncio.Event()
        self._over = False
        self._may_live = asyncio.Event()
        self._may_live.set()

    async def live(self) -> None:
        """One life after the other."""
        while True:
            await self._may_live.wait()
            if self._over:
                return
            self._stop = asyncio.Event()
            try:
                await app.project(self.settings, self._stop)
            except NenrinError as error:  # as its process would end that can't even begin
                self.endings.append(str(error))
                await asyncio.sleep(0.2)

    async def connection(self) -> asyncpg.Connection:
        """A connection to the database that there is now."""
        return await asyncpg.connect(self.settings.dsn)

    def end(self) -> None:
        """Let this life be the last."""
        self._over = True
        self.go_on()
        self._stop.set()

    def pause(self) -> None:
        """Stop, until it may go on."""
        self._may_live.clear()
        self.readiness = lambda: Readiness({}, {})
        self._stop.set()

    def go_on(self) -> None:
        """Live again."""
        self._may_live.set()

    def begin_again(self) -> None:
        """End this life, and begin another."""
        self.readiness = lambda: Readiness({}, {})
        self._stop.set()

    def ended(self, _: str, error: BaseException) -> None:
        """What would have ended the process."""
        self.endings.append(str(error))
        self._stop.set()
        raise error

    @property
    def notes(self) -> dict[str, str]:
        """What `/readyz` says of each projection."""
        return dict(self.readiness().notes)

    async def until(self, reached: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """Wait for what `/readyz` says."""
        async with asyncio.timeout(PATIENCE):
            while not reached(self.notes):  # noqa: ASYNC110  # as a monitor would ask
                await asyncio.sleep(0.05)
        return self.notes


class Database:
    """What the generations hold."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def documents(self, schema: str = "documents_g1") -> set[str]:
        """The ids of a generation's documents."""
        return {row[0] for row in await self.connection.fetch(f"SELECT document_id FROM {schema}.documents")}

    async def applied(self, schema: str = "documents_g1") -> int:
        """How many offsets a generation has applied, all partitions together."""
        return int(await self.connection.fetchval(f"SELECT sum(next) FROM {schema}.positions"))

    async def until_applied(self, offsets: int, *schemas: str) -> None:
        """Wait until generations have come so far."""
        async with asyncio.timeout(PATIENCE):
            for schema in schemas:
                while await self.applied(schema) < offsets:  # noqa: ASYNC110  # as a reader without NOTIFY would ask
                    await asyncio.sleep(0.05)


@pytest.fixture
def log(installed: Settings) -> Log:
    """The topics of an installation of this test's own."""
    return Log(installed)


@pytest.fixture
async def database(installed: Settings) -> AsyncIterator[Database]:
    """Its database."""
    connection = await asyncpg.connect(installed.dsn)
    yield Database(connection)
    await connection.close()


@pytest.fixture
async def projector(installed: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Projector]:
    """A projector at work."""
    found = Projector(installed)
    for wait in ("services.projector.following.LOOK_EVERY", "eventlog.watching.LOOK_EVERY"):
        monkeypatch.setattr(wait, 0.2)
    monkeypatch.setattr("services.projector.log.END_PATIENCE", 0.2)
    monkeypatch.setattr("eventlog.ending.end_process", found.ended)

    def serve(*arguments: object) -> None:
        found.readiness = arguments[3]  # type: ignore[assignment]  # what /readyz asks

    monkeypatch.setattr(app, "serve_status", serve)
    living = asyncio.create_task(found.live())
    yield found
    found.end()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(living, return_exceptions=True)

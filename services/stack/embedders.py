"""The embedders of a stack: one for each encoder that its database asks for, looked at over one connection."""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from projections.database import connect
from projections.encoders import embedded
from schemas.encoders import MINILM
from schemas.errors import NenrinError
from services.stack.assigning import assigned


class Changes(NamedTuple):
    """Embedders that are to end, and then those that are to begin; one that is in both begins with another encoder."""

    ended: list[str]
    begun: list[str]


class Embedders:
    """Which encoder each embedder is for. `instances` are those for the generation that is live as the stack starts."""

    def __init__(self, dsn: str, instances: Sequence[str]) -> None:
        self._dsn = dsn
        self._instances = instances
        self._encoders: dict[str, str] = {}
        self._connection: asyncpg.Connection | None = None

    async def choose(self) -> None:
        """See which generation is live."""
        wanted = await self._wanted() or [MINILM.name]
        self._encoders = dict.fromkeys(self._instances, wanted[0])

    def encoder(self, name: str) -> str | None:
        """The encoder that a process embeds with; None for one that is no embedder."""
        return self._encoders.get(name)

    def backfills(self, name: str) -> bool:
        """Whether it has another encoder than readers wait for, and gives way until it has caught up."""
        return name not in self._instances

    async def look(self) -> Changes:
        """See which encoders there are now; none of them while Postgres is away, and then nothing changes."""
        wanted = await self._wanted() if self._instances else []
        if not wanted:
            return Changes([], [])
        before, self._encoders = self._encoders, assigned(self._encoders, wanted, self._instances)
        return Changes(
            [name for name, encoder in before.items() if self._encoders.get(name) != encoder],
            [name for name, encoder in self._encoders.items() if before.get(name) != encoder],
        )

    async def _wanted(self) -> list[str]:
        """The names of the encoders whose topics are to be kept up with the log, the live generation's first."""
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await connect(self._dsn, application="nenrin up")
            return await embedded(self._connection)
        except (NenrinError, asyncpg.PostgresError):  # its own log says what it lacks
            self.close()
            return []

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

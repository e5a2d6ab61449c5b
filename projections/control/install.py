"""Installing Nenrin in a Postgres database: extension, roles, control schema, the first generations. Idempotent."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from projections.control import revision
from projections.control.tables import READER, SCHEMA, projections
from projections.database import translated
from projections.generations.lifecycle import Build, create, grant
from projections.port import ReadModel

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6E656E72696E  # "nenrin": two inits at once take turns


class Wanted(msgspec.Struct, frozen=True):
    """A projection that should exist, and how to make its first generation."""

    model: ReadModel
    build: Build


@asynccontextmanager
async def administration(dsn: str) -> AsyncIterator[AsyncConnection]:
    """A transaction for changes to the schema. Raises `NewerSchema` where a later version of Nenrin has been."""
    async with _transaction(dsn) as connection:
        here, _ = await connection.run_sync(_revisions)
        revision.check(here)
        yield connection


@asynccontextmanager
async def _transaction(dsn: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn), poolclass=NullPool
    )
    try:
        with translated():
            async with engine.begin() as connection:
                yield connection
    finally:
        await engine.dispose()


async def revisions(dsn: str) -> tuple[str | None, str | None]:
    """The revision of the control schema that the database has, whoever made it, and the newest one known here."""
    async with _transaction(dsn) as connection:
        return await connection.run_sync(_revisions)


async def plan(dsn: str, wanted: Sequence[Wanted]) -> list[str]:
    """What `install` would do, a line each; empty when there is nothing to do."""
    async with administration(dsn) as connection:
        return await _plan(connection, wanted)


async def _plan(connection: AsyncConnection, wanted: Sequence[Wanted]) -> list[str]:
    lines = []
    if not await _exists(connection, "SELECT 1 FROM pg_extension WHERE extname = 'vector'"):
        lines.append("create extension vector")
    if not await _exists(connection, f"SELECT 1 FROM pg_roles WHERE rolname = '{READER}'"):
        lines.append(f"create role {READER}, which can only select")
    here, head = await connection.run_sync(_revisions)
    if here != head:
        lines.append(f"migrate control schema {SCHEMA} from {here or 'nothing'} to {head}")
    present = await _present(connection) if here else set()
    lines += [f"create {item.model.name}, generation 1" for item in wanted if item.model.name not in present]
    return lines


async def install(dsn: str, wanted: Sequence[Wanted], reader_password: str | None = None) -> None:
    """Carry the plan out, in one transaction: all of it is there afterwards, or nothing was changed."""
    async with administration(dsn) as connection:
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        # named, for an owner called like our schema would have it there, where the reader's search path doesn't look
        await connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public"))
        await _create_reader(connection, reader_password)
        await _let_owner_read_as_it(connection)
        await connection.run_sync(_migrate)
        await grant(connection, (SCHEMA,))
        present = await _present(connection)
        for item in wanted:
            if item.model.name not in present:
                await create(connection, item.model, 1, item.build)
                await connection.execute(insert(projections).values(name=item.model.name, live=1))


async def _exists(connection: AsyncConnection, statement: str) -> bool:
    return (await connection.execute(text(statement))).first() is not None


async def _present(connection: AsyncConnection) -> set[str]:
    return set((await connection.execute(select(projections.c.name))).scalars())


async def _create_reader(connection: AsyncConnection, password: str | None) -> None:
    secret = "" if password is None else " PASSWORD '" + password.replace("'", "''") + "'"
    # roles belong to the whole cluster: another database's init may be making it right now
    await connection.execute(
        text(
            f"DO $do$ BEGIN CREATE ROLE {READER} LOGIN{secret}; "
            "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $do$".replace(":", r"\:")
        )
    )


async def _let_owner_read_as_it(connection: AsyncConnection) -> None:
    """Where no other login is given, the query service logs in as the owner and takes the reader's role."""
    if not await _exists(connection, f"SELECT 1 WHERE pg_has_role(current_user, '{READER}', 'MEMBER')"):
        await connection.execute(text(f"GRANT {READER} TO CURRENT_USER"))


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def _migrate(connection: Connection) -> None:
    command.upgrade(_config(connection), "head")


def _revisions(connection: Connection) -> tuple[str | None, str | None]:
    context = MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA})
    return context.get_current_revision(), ScriptDirectory.from_config(_config(connection)).get_current_head()

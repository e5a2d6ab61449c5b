"""What an upgrade means for the read models that are there, in words."""

from projections.database import connect
from projections.generations.shapes import Outdated, look, outdated
from schemas.mending import REBUILD


async def changes(dsn: str) -> list[Outdated]:
    """The live generations that were made with another shape than this version of Nenrin makes."""
    connection = await connect(dsn, application="nenrin init")
    try:
        return outdated(await look(connection))
    finally:
        connection.terminate()


def advice(each: Outdated) -> str:
    """What it is, and the command that is due, where nothing runs it by itself."""
    return f"{each}; `nenrin up` does that, and `{REBUILD} {each.projection}`" if each.is_older else str(each)

"""What projectors keep up with the log, and what tells one build from another's."""

from projections.control.install import install
from projections.database import connect
from projections.generations.following import followed
from tests.projections.logs import WANTED
from tests.running import Databases, with_database


async def test_two_databases_on_one_kafka_have_builds_of_their_own(postgres: Databases) -> None:
    """Both have a generation 1: what is made of `created`, as consumer groups are, is another in each."""
    other = with_database(postgres.owner, "another_of_the_same_kafka")
    await install(postgres.owner, WANTED)
    here = await connect(postgres.owner, application="a test")
    await here.execute("CREATE DATABASE another_of_the_same_kafka")
    try:
        await install(other, WANTED)
        there = await connect(other, application="a test")
        pairs = zip(await followed(here), await followed(there), strict=True)
        for one, another in pairs:
            assert (one.projection, one.generation) == (another.projection, another.generation)
            assert one.created != another.created
        there.terminate()
    finally:
        await here.execute("DROP DATABASE another_of_the_same_kafka WITH (FORCE)")
        await here.close()

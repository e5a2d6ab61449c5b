"""Removing an encoder that nothing uses any more: its row, by which its embedder ends, and its topic where asked."""

from collections.abc import Callable, Sequence

from eventlog.topics import Topics
from projections.encoders import Use, find, forget, registered, used
from projections.generations.holding import holding
from schemas.encoders import MINILM
from schemas.errors import NenrinError
from schemas.topics import derived
from services.settings import Settings


class StillUsed(NenrinError):
    """A generation that projectors keep up needs the encoder's vectors."""


async def remove(settings: Settings, name: str, *, delete_topic: bool, say: Callable[[str], None]) -> None:
    """Forget an encoder. Raises `StillUsed`, `EncoderMissing`, `Held` while somebody replays, and what is away."""
    async with holding(settings.dsn, f"removal of encoder {name}") as hold:  # nobody begins to build with it meanwhile
        await find(hold, name)
        if users := [use for use in await used(hold) if use.encoder == name]:
            raise StillUsed(_refusal(name, users))
        if name == MINILM.name and all(each.encoder.name != name for each in await registered(hold)):
            say(f"{name} comes with Nenrin, and nothing uses it: no embedder runs for it")
        await forget(hold, name)
    if delete_topic:
        await Topics(settings.kafka_settings()).remove(derived(name))
        say(f"topic {derived(name)} is deleted")


def _refusal(name: str, users: Sequence[Use]) -> str:
    use = users[0]
    kept = f"{use.projection} generation {use.generation} uses {name}"
    if use.live:
        return f"{kept}, and is live: promote one with another encoder first"
    return f"{kept}, and projectors keep it up: `nenrin projections retire {use.projection} {use.generation}` first"

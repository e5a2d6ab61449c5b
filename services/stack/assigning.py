"""Which encoder each embedder of a stack runs for. Pure."""

from collections.abc import Mapping, Sequence
from itertools import count

from services.stack.scale import instance

EMBEDDER = "embedder"


def assigned(now: Mapping[str, str], wanted: Sequence[str], instances: Sequence[str]) -> dict[str, str]:
    """Embedders, by name, and the encoder of each; `now` is how it is.

    `instances` are those of the live generation's encoder, which is the first of `wanted`; each other one gets the next
    `embedder-N` to itself. Whoever embeds for an encoder that still is wanted goes on, also when another is live by
    now: a restart would only keep its readers waiting.
    """
    kept = {name: now.get(name, wanted[0]) for name in instances}
    found = {name: encoder if encoder in wanted else wanted[0] for name, encoder in kept.items()}
    for encoder in wanted:
        if encoder not in found.values():
            found[_beside(now, encoder, found)] = encoder
    return found


def _beside(now: Mapping[str, str], encoder: str, taken: Mapping[str, str]) -> str:
    """The name of an encoder's own embedder: the one that it has, or the first that is free."""
    has = (name for name, its in now.items() if its == encoder and name not in taken)
    free = (name for number in count(2) if (name := instance(EMBEDDER, number)) not in {*now, *taken})
    return next(has, None) or next(free)

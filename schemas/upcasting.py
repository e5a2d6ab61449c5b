"""Every type of event that is read, the older versions too, and the steps that bring their data up to date.

What is in the log stays there as it was written, so a version of a type is never changed. A change is a new version:
the class that the folds know becomes that of the new type, and the one before it moves here, with its own rules and
one step to the next version. Then the older events replay from offset 0 beside the newer ones, and nothing else has to
know of them.

- A step is pure and total: of the data of any valid event it makes valid data of the next version.
- An event is judged by the rules of its own version, so that what was valid, or parked, stays so for ever.
- A version that is added was an unknown type before, and passed over. So the read models that fold it get another
  `shape`, and are built anew from the log; and readers are brought up to date before anybody writes the new version.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from schemas import documents, embedded

Step = Callable[[Any], Any]
"""Makes of the data of one version that of the next."""


def trusted(_: Any) -> None:
    """No rules beyond the shape: only Nenrin writes these."""


class Known(msgspec.Struct, frozen=True):
    """A version of a type: the shape of its data, its rules (raising `InvalidInput`), and the steps to the newest."""

    shape: type[Any]
    check: Callable[[Any], None] = trusted
    steps: tuple[Step, ...] = ()


Types = Mapping[str, Known]
"""What is known, by `ce_type`."""


class Older(msgspec.Struct, frozen=True):
    """A version that is written no longer, its `ce_type`, and the step to that of the `next` version."""

    name: str
    shape: type[Any]
    step: Step
    next: str
    check: Callable[[Any], None] = trusted


def with_older(newest: Types, older: Iterable[Older]) -> Types:
    """These types and their older versions, each with all of its steps. `older`: a version after the one that is next.

    Raises `ValueError` for a version that is there twice, `KeyError` for a next one that isn't there yet.
    """
    types = dict(newest)
    for each in older:
        if each.name in types:
            raise ValueError(f"{each.name} is there twice")
        types[each.name] = Known(each.shape, each.check, (each.step, *types[each.next].steps))
    return types


def newest(data: Any, steps: tuple[Step, ...]) -> Any:
    """Data as of the newest version."""
    for step in steps:
        data = step(data)
    return data


OLDER_DOCUMENTS: tuple[Older, ...] = ()
"""Of the topic `documents`: there is only v1 so far."""
OLDER_PASSAGES: tuple[Older, ...] = ()
"""Of the derived topic: there is only v1 so far."""

DOCUMENTS = with_older(
    {type_: Known(shape, documents.check) for type_, shape in documents.DATA_OF.items()}, OLDER_DOCUMENTS
)
PASSAGES = with_older({shape.kind.value: Known(shape) for shape in embedded.SHAPES}, OLDER_PASSAGES)

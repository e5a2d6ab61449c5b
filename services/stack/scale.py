"""How many instances of each service a stack runs, and what they are called. Pure."""

from collections.abc import Iterable

from services.stack.errors import BadScale
from services.stack.python_services import SERVICES


def scaled(asked: Iterable[str]) -> tuple[str, ...]:
    """The processes of a stack whose services were scaled by texts like `embedder=2`; others run once.

    The first instance has the service's own name, the next are `embedder-2` and so on. Raises `BadScale`.
    """
    counts = dict.fromkeys(SERVICES, 1)
    for text in asked:
        service, count = _parsed(text)
        counts[service] = count
    return tuple(instance(service, number) for service in SERVICES for number in range(1, counts[service] + 1))


def instance(service: str, number: int) -> str:
    """The name of a service's instance; they count from 1."""
    return service if number == 1 else f"{service}-{number}"


def _parsed(text: str) -> tuple[str, int]:
    service, _, count = text.partition("=")
    if service in {"kafka", "postgres"}:
        raise BadScale(f"{text}: {service} runs once; {', '.join(SERVICES)} can run several times.")
    if service not in SERVICES:
        raise BadScale(f"{text}: there is no service {service!r}; name one of {', '.join(SERVICES)}, as in embedder=2.")
    if not (count.isascii() and count.isdecimal() and int(count) > 0):
        raise BadScale(f"{text}: {count!r} is no number of instances; give one from 1 on, as in {service}=2.")
    return service, int(count)

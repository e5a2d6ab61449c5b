"""Trying again: only what is safe to repeat, only where it can help, as the service says, and not for ever."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nenrin import AsyncSession, Behind, Refused, Session, Unavailable, Unreachable
from tests.nenrin.scripted import HANG_UP, Answer, ask, at, found, refusal, serving, written

pytestmark = pytest.mark.parametrize("kind", [Session, AsyncSession])

AWAY = refusal(503, outcome="unknown")
SILENCE = Answer(HANG_UP, {})

READ: Callable[[Any], Any] = lambda session: session.search("c", "q")  # noqa: E731
WRITE: Callable[[Any], Any] = lambda session: session.add("c", "a", "text")  # noqa: E731
REMOVE: Callable[[Any], Any] = lambda session: session.remove("c", "a")  # noqa: E731
LOAD: Callable[[Any], Any] = lambda session: session.add_many("c", [{"document_id": "a", "text": ""}])  # noqa: E731
CLEAR: Callable[[Any], Any] = lambda session: session.remove_collection("c")  # noqa: E731


@pytest.mark.parametrize("trouble", [AWAY, SILENCE], ids=["503", "silence"])
@pytest.mark.parametrize(("what", "good"), [(READ, found(at(1))), (WRITE, written(at(1))), (REMOVE, written(at(1)))])
def test_what_is_safe_to_repeat_is_repeated(
    kind: type[Session], what: Callable[[Any], Any], good: Answer, trouble: Answer
) -> None:
    """Reads, PUT and DELETE: the caller never learns that the first attempt failed, and it is sent as it was."""
    with serving(trouble, good) as service:
        assert ask(kind, service.url, what) is not None
    first, second = service.asked
    assert (first.method, first.path, first.body) == (second.method, second.path, second.body)


@pytest.mark.parametrize("what", [LOAD, CLEAR])
@pytest.mark.parametrize(("trouble", "error"), [(AWAY, Unavailable), (SILENCE, Unreachable)], ids=["503", "silence"])
def test_what_is_not_safe_to_repeat_is_not(
    kind: type[Session], what: Callable[[Any], Any], trouble: Answer, error: type[Exception]
) -> None:
    """A load has been used up, and a removal would lose its count: the caller is told."""
    with serving(trouble) as service, pytest.raises(error):
        ask(kind, service.url, what)
    assert len(service.asked) == 1


@pytest.mark.parametrize("status", [400, 404, 410, 412, 422])
def test_a_refusal_stays_one(kind: type[Session], status: int) -> None:
    """No 4xx gets better by asking again; how to wait for a version is told to the service beforehand."""
    answer = Answer(status, {"title": "T"}, {"Retry-After": "1"})
    with serving(answer) as service, pytest.raises((Refused, Behind)):
        ask(kind, service.url, READ)
    assert len(service.asked) == 1


def test_the_service_says_when(kind: type[Session]) -> None:
    """`Retry-After` is kept to, neither earlier nor much later."""
    with serving(Answer(503, {"title": "T"}, {"Retry-After": "1"}), found(at(1))) as service:
        ask(kind, service.url, READ)
    first, second = service.asked
    assert second.at - first.at >= 1


def test_nobody_waits_longer_than_they_said(kind: type[Session]) -> None:
    """When the service asks for more time than there is, the error comes at once."""
    with serving(Answer(503, {"title": "T"}, {"Retry-After": "60"})) as service, pytest.raises(Unavailable) as caught:
        ask(kind, service.url, READ, retry_for=5)
    assert (len(service.asked), caught.value.retry_after) == (1, 60)


def test_trying_comes_to_an_end(kind: type[Session]) -> None:
    """After the time that was given the last error is raised, after more than one attempt."""
    began = time.monotonic()
    with serving(SILENCE) as service, pytest.raises(Unreachable):
        ask(kind, service.url, READ, retry_for=0.6)
    assert len(service.asked) > 1
    assert time.monotonic() - began < 5


def test_a_library_says_nothing_by_itself(kind: type[Session], capsys: pytest.CaptureFixture[str]) -> None:
    """What it tries again is not told on the standard output of a script that may print JSON there."""
    with serving(SILENCE, found(at(1))) as service:
        ask(kind, service.url, READ)
    assert capsys.readouterr() == ("", "")


def test_a_load_is_taken_from_its_source_as_it_is_sent(kind: type[Session]) -> None:
    """Lines go out in blocks while the source is still being read; an error of the source is the caller's own."""
    taken: list[int] = []

    def source() -> Iterator[dict[str, Any]]:
        for number in range(100):
            taken.append(number)
            yield {"document_id": str(number), "text": "x" * 4096}
        raise LookupError("the source broke")

    with serving(AWAY) as service, pytest.raises(LookupError, match="the source broke"):
        ask(kind, service.url, lambda session: session.add_many("c", source()))
    assert len(taken) == 100

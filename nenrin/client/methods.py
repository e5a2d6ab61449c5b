"""Calls as methods: one list of them, from which both sessions have theirs, typed for each."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar, overload

from nenrin.client import calls
from nenrin.client.calls import Call

if TYPE_CHECKING:
    from nenrin.client.asynchronous import AsyncSession
    from nenrin.client.session import Session

P = ParamSpec("P")
T = TypeVar("T")


class Method(Generic[P, T]):
    """A call as a method that sends it: of a `Session` it returns the answer, of an `AsyncSession` a coroutine."""

    def __init__(self, make: Callable[P, Call[T]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, session: None, owner: type) -> Self: ...

    @overload
    def __get__(self, session: "Session", owner: type) -> Callable[P, T]: ...

    @overload
    def __get__(self, session: "AsyncSession", owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, session: Any, owner: type) -> Any:
        if session is None:
            return self

        @wraps(self._make)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return session.send(self._make(*args, **kwargs))

        return method


class Methods:
    """What a session can be asked to do. Every read takes the keywords of `Conditions`."""

    add = Method(calls.add)
    remove = Method(calls.remove)
    remove_collection = Method(calls.remove_collection)
    search = Method(calls.search)
    document = Method(calls.document)
    documents = Method(calls.documents)
    page = Method(calls.page)
    collections = Method(calls.collections)
    projections = Method(calls.projections)
    projection = Method(calls.projection)
    parked = Method(calls.parked)
    parked_event = Method(calls.parked_event)

"""Loading a model in a thread that nobody waits for when the process ends."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Model = TypeVar("Model")


def loaded(load: Callable[[], Model]) -> Future[Model]:
    """Begin to load, and return at once; the future has the model, or why there is none."""
    loading: Future[Model] = Future()
    # a daemon, which an executor's thread is not: who is told to end does not wait for a model
    threading.Thread(target=_settle, args=(loading, load), name="load-encoder", daemon=True).start()
    return loading


def _settle(loading: Future[Model], load: Callable[[], Model]) -> None:
    try:
        loading.set_result(load())
    except BaseException as error:
        loading.set_exception(error)

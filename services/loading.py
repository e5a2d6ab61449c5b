"""Loading a model in a thread that nobody can stop, and leaving while it is still at work."""

import os
import sys
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


def leave() -> None:
    """End the process now, and well: a thread that is at work in C++ would abort it in the middle of its exit."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(os.EX_OK)

"""Reading JSON that strangers wrote, with messages that name the field."""

import json
import re
from collections.abc import Iterator
from math import isfinite
from typing import TypeVar

import msgspec

from schemas.errors import InvalidInput

T = TypeVar("T")

_PATH = re.compile(r"^(?P<what>.*) - at `\$\.?(?P<path>.*)`$", re.DOTALL)
_MEMBER = re.compile(r"Object (?:missing required|contains unknown) field `(?P<name>.*)`")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def read(raw: bytes, shape: type[T]) -> T:
    """Decode JSON into `shape`, strictly. Raises `InvalidInput`."""
    try:
        # all of it: the decoder passes over the bytes of members that it ignores
        return msgspec.json.decode(raw.decode(), type=shape)
    except msgspec.ValidationError as error:
        raise _wrong_shape(str(error)) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _wrong_json(raw, str(error)) from error


def _wrong_shape(message: str) -> InvalidInput:
    found = _PATH.match(message)
    what, path = (found["what"], found["path"]) if found else (message, "")
    if member := _MEMBER.search(what):
        path = f"{path}.{member['name']}" if path else member["name"]
        what = "missing" if "missing" in what else "unknown field"
    return InvalidInput(path, what)


def _wrong_json(raw: bytes, message: str) -> InvalidInput:
    """Say which member is at fault, which the fast decoder does not: a second, slow look, at bad input only."""
    try:
        value = json.loads(raw.decode())
    except UnicodeDecodeError as error:
        return InvalidInput("", f"not UTF-8: byte {error.start}")
    except RecursionError:
        return InvalidInput("", "nested too deeply")
    except ValueError as error:
        return InvalidInput("", f"not JSON: {error}")
    return next(_faults(value), InvalidInput("", message))


def _faults(value: object, path: str = "") -> Iterator[InvalidInput]:
    """What Python reads and JSON does not have: lone surrogates, NaN and infinities."""
    if isinstance(value, str) and _SURROGATE.search(value):
        yield InvalidInput(path, "lone surrogate")
    elif isinstance(value, float) and not isfinite(value):
        yield InvalidInput(path, f"{json.dumps(value)} is not JSON: numbers are finite")
    elif isinstance(value, dict):
        for key, item in value.items():
            at = f"{path}.{ascii(key)[1:-1]}" if path else ascii(key)[1:-1]
            yield from _faults(key, at)
            yield from _faults(item, at)
    elif isinstance(value, list):
        for item in value:
            yield from _faults(item, path)

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
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        try:
            return _last_ones(raw, shape)
        except (ValueError, RecursionError):
            pass
        if isinstance(error, msgspec.ValidationError):
            raise _wrong_shape(str(error)) from error
        raise _wrong_json(raw, str(error)) from error


def _last_ones(raw: bytes, shape: type[T]) -> T:
    """Of members given twice the last one counts, whatever the others are: so most readers have it, but not msgspec."""
    once_each = json.dumps(json.loads(raw.decode(), parse_constant=int))
    return msgspec.json.decode(once_each, type=shape)


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
        return next(_faults(json.loads(raw.decode())), InvalidInput("", message))
    except UnicodeDecodeError as error:
        return InvalidInput("", f"not UTF-8: byte {error.start}")
    except RecursionError:
        return InvalidInput("", "nested too deeply")
    except ValueError as error:
        return InvalidInput("", f"not JSON: {error}")


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
